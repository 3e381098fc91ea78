"""Geometry of a sample: one composable 3x3 matrix from destination pixels to source pixels.

Pixel centres lie at integers (OpenCV's convention): column 0 covers -0.5 to 0.5. Scaling by s therefore means
x_source = (x_destination + 0.5) / s - 0.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.signedinteger[Any]]

EXACT = 1e-6  # tolerance in pixels
FRACTION_BITS = 16  # fractional bits of fixed-point coordinates
_ONE = 1 << FRACTION_BITS
_FAST = 2**15 - 1  # the largest coordinate representable in 32 bits with 16 fractional bits


@dataclass(frozen=True, eq=False)
class Geometry:
    """An affine map of a sample, and the size of its result.

    `matrix` is float64 [3, 3]: homogeneous (x, y, 1) of a destination pixel -> of the source pixel;
    `height` and `width` are the destination's, in pixels.
    """

    matrix: npt.NDArray[np.float64]
    height: int
    width: int

    def then(self, later: Geometry) -> Geometry:
        """The geometry followed by `later`, as one geometry.

        Only the source image bounds the result: pixels removed by an earlier crop reappear if `later` covers them.
        """
        return Geometry(self.matrix @ later.matrix, later.height, later.width)

    @cached_property
    def sources(self) -> tuple[npt.NDArray[np.signedinteger[Any]], npt.NDArray[np.signedinteger[Any]]]:
        """The source pixel of each destination pixel: columns [w] and rows [h], or both [h, w] where rotated or sheared.

        Half a pixel rounds up; the small terms preserve this for sums slightly below a half.
        """
        (a, b, c), (d, e, f) = self.matrix[:2].tolist()
        if b or d:
            return self.field[..., 0], self.field[..., 1]
        half = 0.5 + EXACT
        x, y = a * np.arange(self.width) + (c + half), e * np.arange(self.height) + (f + half)
        return np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)

    @cached_property
    def field(self) -> npt.NDArray[np.int16]:
        """Column and row of each destination pixel's source pixel, int16 [h, w, 2], clipped to 16 bits.

        Fixed point: 16 fractional bits are exact to 1/65536 pixel, and 32 bits per coordinate are fast.
        """
        (a, b, c), (d, e, f) = self.matrix[:2].tolist()
        columns, rows = np.arange(self.width), np.arange(self.height)
        kind = np.int32 if max(map(abs, self.reach(past=1))) < _FAST else np.int64

        def along(x_step: float, y_step: float, start: float) -> npt.NDArray[Any]:
            by_column = np.rint(x_step * columns * _ONE).astype(np.int64).astype(kind)
            by_row = np.rint((y_step * rows + start) * _ONE + _ONE // 2 + 1).astype(np.int64).astype(kind)
            steps: npt.NDArray[Any] = by_column + by_row[:, None]
            return steps

        x, y = along(a, b, c), along(d, e, f)
        if kind is np.int64:
            near = np.iinfo(np.int16)
            return (np.stack((x, y), axis=-1) >> FRACTION_BITS).clip(near.min, near.max).astype(np.int16)
        # The integer part of y stays in the upper half of the 32 bits; that of x moves into the lower half.
        x = x.view(np.uint32)
        x >>= FRACTION_BITS
        y &= -_ONE
        y |= x.view(np.int32)
        return y.astype("<i4", copy=False).view("<i2").reshape(self.height, self.width, 2)

    def reach(self, past: int = 0) -> tuple[float, float, float, float]:
        """Bounding box (min x, min y, max x, max y) of the source pixels used, for `past` more destination pixels."""
        (a, b, c), (d, e, f) = self.matrix[:2].tolist()
        across, down = self.width - 1 + past, self.height - 1 + past
        a, b, d, e = a * across, b * down, d * across, e * down
        return (
            c + min(a, 0) + min(b, 0), f + min(d, 0) + min(e, 0), c + max(a, 0) + max(b, 0), f + max(d, 0) + max(e, 0)
        )  # fmt: skip


def identity(height: int, width: int) -> Geometry:
    """The identity for a sample of `height` x `width` pixels."""
    return Geometry(np.eye(3), height, width)


def resized(height: int, width: int, *, to: tuple[int, int]) -> Geometry:
    """Resize `height` x `width` pixels to `to` (height, width)."""
    across, down = width / to[1], height / to[0]
    matrix = np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
    return Geometry(matrix, *to)


def cropped(top: int, left: int, *, to: tuple[int, int]) -> Geometry:
    """Crop a window of `to` (height, width) pixels at (`top`, `left`), which may be outside the image."""
    return Geometry(np.array([[1.0, 0, left], [0, 1, top], [0, 0, 1]]), *to)


def flipped(height: int, width: int, *, horizontal: bool, vertical: bool) -> Geometry:
    """Flip horizontally, vertically, or both."""
    matrix = np.eye(3)
    if horizontal:
        matrix[0] = -1, 0, width - 1
    if vertical:
        matrix[1] = 0, -1, height - 1
    return Geometry(matrix, height, width)


def rotated(height: int, width: int, *, degrees: float) -> Geometry:
    """Rotate counter-clockwise by `degrees` about the centre; keeps the size."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = (width - 1) / 2, (height - 1) / 2
    return Geometry(
        np.array([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y], [0, 0, 1]]), height, width
    )
