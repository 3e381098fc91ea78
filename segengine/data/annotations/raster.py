"""Rasterises shapes into a mask of class values: polygons by pycocotools, run lengths by NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segengine.data.annotations.run_lengths import uncompressed
from segengine.data.annotations.shapes import Points, Runs
from segengine.errors import DataError

Overlap = Literal["small-on-top", "file-order", "z-order"]
INSTALL = "pip install 'segengine[coco]'"


@dataclass(frozen=True)
class Painted:
    """A shape with the value of its pixels. `below`: painted before all others."""

    value: int
    polygons: tuple[Points, ...] = ()
    runs: Runs | None = None
    z: int = 0
    below: bool = False


def mask_library() -> Any:
    """The module `pycocotools.mask`. Raises DataError with the command that installs it."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise DataError(f"annotations are rasterised by pycocotools, which is not installed: {INSTALL}") from error
    return mask


def rasterise(
    shapes: Sequence[Painted], height: int, width: int, overlap: Overlap, *, dtype: Any = np.uint8
) -> NDArray[Any]:
    """Paint shapes over 0: [H, W] of `dtype`.

    Args:
        shapes: in the order of the file. Polygons of one shape are united, as in COCO.
        height: of the mask, in pixels.
        width: of the mask, in pixels.
        overlap: which shape is on top. "small-on-top": the one with fewer pixels; "file-order": the later one; "z-order": the one
            with the higher z, then the later one. For equal shapes, the later one is on top.
        dtype: uint8 or uint16.

    Raises:
        DataError: pycocotools is missing.
    """
    areas = [_set_pixels(shape, height, width) for shape in shapes]
    keys = [
        (not shape.below, -int(area.sum()) if overlap == "small-on-top" else shape.z if overlap == "z-order" else 0)
        for shape, (_, area) in zip(shapes, areas, strict=True)
    ]
    painted = np.zeros((height, width), dtype)
    for i in sorted(range(len(shapes)), key=keys.__getitem__):
        (top, left), here = areas[i]
        painted[top : top + here.shape[0], left : left + here.shape[1]][here] = shapes[i].value
    return painted


def _set_pixels(shape: Painted, height: int, width: int) -> tuple[tuple[int, int], NDArray[np.bool_]]:
    """The shape's pixels, bool, and the (top, left) of this part of the image."""
    if shape.runs is not None:
        return _of_runs(shape.runs, height, width)
    if not shape.polygons:
        return (0, 0), np.zeros((0, 0), bool)
    library = mask_library()
    encoded = library.merge(library.frPyObjects([list(points) for points in shape.polygons], height, width))
    # Not `library.decode`: it decodes the whole image for each object, and warns with NumPy 2.
    return _of_columns(uncompressed(encoded["counts"].decode(), "pycocotools"), height, width)


def _of_columns(counts: Sequence[int], height: int, width: int) -> tuple[tuple[int, int], NDArray[np.bool_]]:
    """Column-major runs over the image, decoded from the first to the last column with a set pixel."""
    ends = np.cumsum(counts)
    if len(counts) < 2:
        return (0, 0), np.zeros((0, 0), bool)
    left, right = int(ends[0]) // height, min(width, -(-int(ends[(len(counts) // 2) * 2 - 1]) // height))
    inside = np.zeros((right - left) * height, bool)
    for begin, end in zip(ends[0:-1:2] - left * height, ends[1::2] - left * height, strict=True):
        inside[begin:end] = True
    return (0, left), inside.reshape(right - left, height).T


def _of_runs(runs: Runs, height: int, width: int) -> tuple[tuple[int, int], NDArray[np.bool_]]:
    left, top, wide, high = runs.window
    if runs.columns:
        return _of_columns(runs.counts, high, wide)
    values = np.repeat(np.arange(len(runs.counts)) % 2 == 1, runs.counts)
    inside = values.reshape(high, wide)
    rows, columns = slice(max(0, -top), max(0, height - top)), slice(max(0, -left), max(0, width - left))
    return (max(0, top), max(0, left)), inside[rows, columns]
