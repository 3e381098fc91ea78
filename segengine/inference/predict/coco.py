"""COCO annotations of predicted classes: one per connected component, as run lengths, which are exact with holes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.masks.mapping import Label
from segengine.figures.labels import is_background


def categories(labels: Sequence[Label]) -> list[dict[str, Any]]:
    """All classes but the background; `id` is the class index."""
    return [{"id": label.index, "name": label.name} for label in labels if not is_background(label)]


def components_of(
    classes: NDArray[np.uint8], labels: Sequence[Label], image_id: int, first_id: int
) -> list[dict[str, Any]]:
    """The components (also joined by corners) of each class but the background of uint8 [H, W]."""
    import cv2

    found: list[dict[str, Any]] = []
    for label in labels:
        if is_background(label) or not (inside := classes == label.index).any():
            continue
        count, numbers, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
        for component in range(1, count):
            left, top, width, height, area = (int(v) for v in stats[component])
            part = numbers[top : top + height, left : left + width] == component
            found.append(
                {
                    "id": first_id + len(found), "image_id": image_id, "category_id": label.index, "area": area,
                    "bbox": [left, top, width, height], "iscrowd": 0,
                    "segmentation": {"size": list(classes.shape), "counts": _run_lengths(part, left, top, classes.shape)},
                }
            )  # fmt: skip
    return found


def _run_lengths(part: NDArray[np.bool_], left: int, top: int, shape: tuple[int, ...]) -> list[int]:
    """Uncompressed run lengths of a mask down its columns, beginning with the number of zeros.

    `part`: the mask within its bounding box at (left, top) of an image of `shape`.
    """
    height, width = shape
    columns = np.zeros((part.shape[1], height), bool)
    columns[:, top : top + part.shape[0]] = part.T
    flat = np.concatenate([[False], columns.ravel(), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + left * height
    edges = np.concatenate([[0], changes, [height * width]])
    lengths: list[int] = np.diff(edges).tolist()
    return lengths if lengths[-1] else lengths[:-1]
