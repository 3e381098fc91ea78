"""Prediction of large images in overlapping tiles with Gaussian weights, with the memory of one band of tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """First pixels of evenly spaced tiles that cover `length`; the last tile ends at the border."""
    if tile >= length:
        return [0]
    count = -(-(length - tile) // max(1, round(tile * (1 - overlap)))) + 1
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def gaussian(height: int, width: int) -> Floats:
    """Weights float32 [height, width]: a Gaussian with sigma side/8, zeros replaced by the smallest positive weight."""
    lines = []
    for side in (height, width):
        x = np.arange(side, dtype=np.float32) - (side - 1) / 2
        lines.append(np.exp(-0.5 * (x / (side / 8)) ** 2))
    weights = np.outer(*lines).astype(np.float32)
    return np.asarray(np.where(weights > 0, weights, weights[weights > 0].min()))


def tiled_probabilities(
    probabilities_of: Callable[[NDArray[np.generic]], Floats], image: NDArray[np.generic], tile: int, overlap: float
) -> Iterator[Floats]:
    """Class probabilities of an image [H, W, C], in bands of rows from the top, float32 [K, h, W].

    `probabilities_of` maps [h, w, C] to [K, h, w]. Rows that no further tile covers are final, so sums of only `tile` rows are
    stored: K x tile x W x 4 bytes.
    """
    height, width = image.shape[:2]
    tops, lefts = starts(height, tile, overlap), starts(width, tile, overlap)
    weights = gaussian(min(tile, height), min(tile, width))
    sums: Floats | None = None
    total: Floats | None = None
    for i, top in enumerate(tops):
        for left in lefts:
            found = probabilities_of(image[top : top + tile, left : left + tile])
            if sums is None or total is None:
                sums = np.zeros((len(found), found.shape[1], width), np.float32)
                total = np.zeros((found.shape[1], width), np.float32)
            sums[:, :, left : left + tile] += found * weights
            total[:, left : left + tile] += weights
        assert sums is not None
        assert total is not None
        done = (tops[i + 1] if i + 1 < len(tops) else height) - top
        yield sums[:, :done] / total[:done]
        if i + 1 < len(tops):
            sums = np.concatenate([sums[:, done:], np.zeros_like(sums[:, :done])], axis=1)
            total = np.concatenate([total[done:], np.zeros_like(total[:done])], axis=0)
