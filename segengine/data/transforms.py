"""What a sample transform is: geometry (fused into one warp) or a change of pixel values."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from segengine.data.geometry import Geometry

IGNORE = 255
Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]


class Transform(Protocol):
    """A random change of an image uint8 [H, W, C] and its mask uint8 [H, W] (0..K-1, 255 = ignore)."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width in pixels of what comes out, None where they vary."""


@runtime_checkable
class GeometricTransform(Transform, Protocol):
    """Moves pixels; consecutive geometric transforms cost one warp.

    An optional attribute `attempts` (int, default 1) is how often the geometry of a sample may be drawn
    until the mask shows at least one pixel that is not ignored; the last draw is kept.
    """

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Geometry:
        """The geometry for one sample of `height` x `width` pixels; randomness from `rng` only."""


@runtime_checkable
class PixelTransform(Transform, Protocol):
    """Changes pixel values (or, rarely, moves pixels in a way that no affine map describes)."""

    def apply(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """The changed image and mask; the given arrays stay as they are (they may be cached), `rng` is all randomness."""


__all__ = ["IGNORE", "Geometry", "GeometricTransform", "Image", "Mask", "PixelTransform", "Transform"]
