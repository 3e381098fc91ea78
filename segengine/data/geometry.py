"""Geometry of a sample as one 3x3 matrix from destination pixels to source pixels, so that changes compose.

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

EXACT = 1e-6  # pixels that are as good as none
_BITS = 16
_ONE = 1 << _BITS
_FAST = 2**15 - 1  # the largest coordinate that 32 bits hold with 16 bits of fraction


@dataclass(frozen=True, eq=False)
class Geometry:
    """An affine map of a sample and the size of what comes out.

    `matrix` is float64 [3, 3]: homogeneous (x, y, 1) of a destination pixel -> of the source pixel;
    `height` and `width` are the destination's, in pixels.
    """

    matrix: Matrix
    height: int
    width: int

    def then(self, later: Geometry) -> Geometry:
        """The geometry followed by `later`, as one geometry.

        The source alone decides what is outside: what an earlier crop cut away is seen again where `later` looks there.
        """
        return Geometry(self.matrix @ later.matrix, later.height, later.width)

    @cached_property
    def sources(self) -> tuple[Indices, Indices]:
        """The source pixel of each destination pixel: columns [w] and rows [h], or both [h, w] where rotated or sheared.

        Half a pixel rounds up; the small terms keep that so where a sum falls just short of a half.
        """
        (a, b, c), (d, e, f) = self.matrix[:2].tolist()
        columns, rows = np.arange(self.width), np.arange(self.height)
        if b == 0 and d == 0:
            half = 0.5 + EXACT
            return np.floor(a * columns + (c + half)).astype(np.int64), np.floor(e * rows + (f + half)).astype(np.int64)
        # Fixed point: 16 bits of fraction are exact to 1/65536 pixel, and 32 bits a coordinate are fast.
        corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]]) * (self.width, self.height, 1)
        kind = np.int32 if np.abs(corners @ self.matrix.T).max() < _FAST else np.int64

        def along(x_step: float, y_step: float, start: float) -> Indices:
            by_column = np.rint(x_step * columns * _ONE).astype(np.int64).astype(kind)
            by_row = np.rint((y_step * rows + start) * _ONE + _ONE // 2 + 1).astype(np.int64).astype(kind)
            steps: Indices = (by_column[None] + by_row[:, None]) >> _BITS
            return steps.astype(np.int16) if kind is np.int32 else steps

        return along(a, b, c), along(d, e, f)


def identity(height: int, width: int) -> Geometry:
    """No change of a sample of `height` x `width` pixels."""
    return Geometry(np.eye(3), height, width)


def resized(height: int, width: int, *, to: tuple[int, int]) -> Geometry:
    """The whole of `height` x `width` pixels shown on `to` (height, width) pixels."""
    across, down = width / to[1], height / to[0]
    matrix = np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
    return Geometry(matrix, *to)


def cropped(top: int, left: int, *, to: tuple[int, int]) -> Geometry:
    """A window of `to` (height, width) pixels whose first pixel is (`top`, `left`), which may lie outside."""
    return Geometry(np.array([[1.0, 0, left], [0, 1, top], [0, 0, 1]]), *to)


def flipped(height: int, width: int, *, horizontal: bool, vertical: bool) -> Geometry:
    """Left and right exchanged, top and bottom exchanged, or both."""
    matrix = np.eye(3)
    if horizontal:
        matrix[0] = -1, 0, width - 1
    if vertical:
        matrix[1] = 0, -1, height - 1
    return Geometry(matrix, height, width)


def rotated(height: int, width: int, *, degrees: float) -> Geometry:
    """The content turned counter-clockwise by `degrees` about the centre; the size stays."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = (width - 1) / 2, (height - 1) / 2
    return Geometry(
        np.array([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y], [0, 0, 1]]), height, width
    )
