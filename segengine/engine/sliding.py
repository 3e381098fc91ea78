"""Prediction of images too large for one pass: overlapping tiles, Gaussian weights, memory of one band of tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def spread(length: int, tile: int, overlap: float = 0.5) -> list[int]:
    """First pixels of evenly spaced tiles that cover `length`; the last tile ends at the border."""
    if tile >= length:
        return [0]
    count = -(-(length - tile) // max(1, round(tile * (1 - overlap)))) + 1
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def gaussian(tile: int, device: torch.device) -> Tensor:
    """Weights float32 [tile, tile]: a Gaussian of sigma tile/8, zeros lifted to the smallest positive weight."""
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
    if _one_pass(image, tile):
        return logits_of(image[None].to(device)).max(1).indices[0].to(torch.uint8).cpu()
    return torch.cat([
        sums.max(0).indices.to(torch.uint8).cpu() for sums in _weighted_bands(logits_of, image, tile, device)
    ])  # fmt: skip


def sliding_probabilities(
    logits_of: Callable[[Tensor], Tensor], image: Tensor, tile: int, device: torch.device
) -> Iterator[Tensor]:
    """The averaged class probabilities float32 [K, h, W] behind `sliding_classes`, on the CPU, rows from the top in bands."""
    if _one_pass(image, tile):
        yield logits_of(image[None].to(device))[0].float().softmax(0).cpu()
        return
    for sums in _weighted_bands(logits_of, image, tile, device):
        yield (sums / sums.sum(0)).cpu()


def _one_pass(image: Tensor, tile: int) -> bool:
    return max(image.shape[1:]) <= tile


def _weighted_bands(
    logits_of: Callable[[Tensor], Tensor], image: Tensor, tile: int, device: torch.device
) -> Iterator[Tensor]:
    """Weighted sums of probabilities float32 [K, h, W] of the image's rows, band by band.

    The sums of a row are final once no further tile covers it, so only `tile` rows are kept.
    """
    height, width = image.shape[1:]
    tops, lefts = spread(height, tile), spread(width, tile)
    weights = gaussian(tile, device)[: min(tile, height), : min(tile, width)]
    sums: Tensor | None = None
    for i, top in enumerate(tops):
        for left in lefts:
            part = image[None, :, top : top + tile, left : left + tile].to(device)
            chances = logits_of(part)[0].float().softmax(0)
            if sums is None:
                sums = chances.new_zeros(len(chances), chances.shape[1], width)
            sums[:, :, left : left + tile] += chances * weights
        assert sums is not None
        done = (tops[i + 1] if i + 1 < len(tops) else height) - top
        yield sums[:, :done]
        sums = torch.cat([sums[:, done:], sums.new_zeros(len(sums), done, width)], dim=1) if i + 1 < len(tops) else None
