"""Pixel counts per image and class as one array, the input of pooled, per-image and per-group scores and of resampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Stacked = NDArray[np.int64]
"""int64 [N, 3, K]: true positives, pixels in the truth, pixels predicted, by image (or group) and class."""


def stacked_of_rows(rows: NDArray[np.int64], indices: Sequence[int], num_classes: int) -> Stacked:
    """From rows int64 [n, 4] (image index, class in the truth, class predicted, pixels); images in the order of `indices`.

    Raises:
        ValueError: a row's image is not one of `indices`, or its class is none of `num_classes`.
    """
    known = np.asarray(indices, dtype=np.int64)
    order = np.argsort(known)
    place = np.searchsorted(known[order], rows[:, 0])
    if rows.size and (not known.size or place.max() >= len(known) or (known[order][place] != rows[:, 0]).any()):
        raise ValueError("a row belongs to an image that is not one of the requested images")
    if rows.size and (rows[:, 1:3].min() < 0 or rows[:, 1:3].max() >= num_classes):
        raise ValueError(f"a class is not one of the {num_classes} classes")
    image = order[place] if known.size else place
    _, truth, predicted, pixels = rows.T
    right = truth == predicted
    flat = np.zeros(len(known) * 3 * num_classes, dtype=np.int64)
    start = image * (3 * num_classes)
    np.add.at(flat, start[right] + truth[right], pixels[right])
    np.add.at(flat, start + num_classes + truth, pixels)
    np.add.at(flat, start + 2 * num_classes + predicted, pixels)
    return flat.reshape(len(known), 3, num_classes)
