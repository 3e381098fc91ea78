"""Prediction of images too large for one pass: overlapping tiles, weighted averages, memory of one band of tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Rows = Callable[[int, int], Tensor]
"""Rows top..bottom-1 of an image: uint8 [C, bottom - top, W]."""


@dataclass(frozen=True)
class Tiling:
    """How an image is cut into tiles: side in pixels, overlap as a share of the side, weights, and tiles per pass.

    With `gaussian` weights a tile's centre counts most, with `uniform` all its pixels count the same.
    """

    tile: int
    overlap: float = 0.5
    weights: Literal["gaussian", "uniform"] = "gaussian"
    batch: int = 1


def spread(length: int, tile: int, overlap: float = 0.5) -> list[int]:
    """First pixels of evenly spaced tiles that cover `length`; the last tile ends at the border."""
    if tile >= length:
        return [0]
    count = -(-(length - tile) // max(1, round(tile * (1 - overlap)))) + 1
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def gaussian(tile: int, device: torch.device) -> Tensor:
    """Weights float32 [tile, tile]: a Gaussian with sigma tile/8, zeros replaced by the smallest positive weight."""
    x = torch.arange(tile, dtype=torch.float32, device=device) - (tile - 1) / 2
    line = torch.exp(-0.5 * (x / (tile / 8)) ** 2)
    weights = line[:, None] * line[None, :]
    return torch.where(weights > 0, weights, weights[weights > 0].min())


def sliding_classes(logits_of: Callable[[Tensor], Tensor], image: Tensor, tile: int, device: torch.device) -> Tensor:
    """Class indices uint8 [H, W] of one large image.

    Args:
        logits_of: images uint8 [1, C, h, w] on the device -> logits [1, K, h, w].
        image: uint8 [C, H, W], anywhere.
        tile: side of the square tiles in pixels; an image not larger is predicted in one pass.
        device: where tiles are computed and summed.

    Class probabilities of overlapping tiles are averaged (Isensee et al., nnU-Net, 2021). The arg-max needs no division by the
    summed weights.
    """
    if one_pass(image.shape[1], image.shape[2], tile):
        return logits_of(image[None].to(device)).max(1).indices[0].to(torch.uint8).cpu()
    return torch.cat([sums.max(0).indices.to(torch.uint8).cpu() for sums in _bands(logits_of, image, tile, device)])


def sliding_probabilities(
    logits_of: Callable[[Tensor], Tensor], image: Tensor, tile: int, device: torch.device
) -> Iterator[Tensor]:
    """The averaged class probabilities float32 [K, h, W] behind `sliding_classes`, on the CPU, rows from the top in bands."""
    if one_pass(image.shape[1], image.shape[2], tile):
        yield logits_of(image[None].to(device))[0].float().softmax(0).cpu()
        return
    for sums in _bands(logits_of, image, tile, device):
        yield (sums / sums.sum(0)).cpu()


def one_pass(height: int, width: int, tile: int) -> bool:
    """Whether one tile covers the image."""
    return max(height, width) <= tile


def _bands(logits_of: Callable[[Tensor], Tensor], image: Tensor, tile: int, device: torch.device) -> Iterator[Tensor]:
    return weighted_bands(
        lambda tiles: logits_of(tiles).float().softmax(1),
        lambda top, bottom: image[:, top:bottom],
        (image.shape[1], image.shape[2]), Tiling(tile), device,
    )  # fmt: skip


def weighted_bands(
    outputs_of: Callable[[Tensor], Tensor], rows: Rows, size: tuple[int, int], tiling: Tiling, device: torch.device
) -> Iterator[Tensor]:
    """Weighted sums float32 [M, h, W] of `outputs_of` over all tiles that cover an image's rows, from the top in bands.

    Args:
        outputs_of: tiles uint8 [B, C, h, w] on the device -> float32 [B, M, h, w].
        rows: reads rows of the image; called once per band of tiles, from the top.
        size: height and width in pixels.
        tiling: the tiles.
        device: where tiles are computed and summed.

    The sums of a row are final once no further tile covers it, so that only `tile` rows are kept: M * tile * W * 4 bytes,
    and the tile * W * C bytes of the image's rows.
    """
    height, width = size
    tile = tiling.tile
    tops, lefts = spread(height, tile, tiling.overlap), spread(width, tile, tiling.overlap)
    weights = gaussian(tile, device) if tiling.weights == "gaussian" else torch.ones(tile, tile, device=device)
    weights = weights[: min(tile, height), : min(tile, width)]
    sums: Tensor | None = None
    for i, top in enumerate(tops):
        band = rows(top, min(top + tile, height))
        for start in range(0, len(lefts), tiling.batch):
            some = lefts[start : start + tiling.batch]
            tiles = torch.stack([band[:, :, left : left + tile] for left in some]).to(device)
            for left, outputs in zip(some, outputs_of(tiles), strict=True):
                if sums is None:
                    sums = outputs.new_zeros(len(outputs), outputs.shape[1], width)
                sums[:, :, left : left + tile] += outputs * weights
        assert sums is not None
        done = (tops[i + 1] if i + 1 < len(tops) else height) - top
        yield sums[:, :done]
        if i + 1 < len(tops):
            _shift(sums, done)


def _shift(sums: Tensor, done: int) -> None:
    """Move the rows below `done` to the top in place, one output at a time, and clear the rest."""
    kept = sums.shape[1] - done
    for of_output in sums:
        of_output[:kept] = of_output[done:].clone()
        of_output[kept:] = 0
