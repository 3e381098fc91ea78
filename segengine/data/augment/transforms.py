"""Protocols of sample transforms (geometric, fused into one warp, or on pixel values) and batch transforms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from segengine.data.augment.geometry import Geometry
from segengine.metrics.confusion import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]


class Transform(Protocol):
    """A random change of an image uint8 [H, W, C] and its mask uint8 [H, W] (0..K-1, 255 = ignore)."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the result in pixels, None if they vary."""


@runtime_checkable
class GeometricTransform(Transform, Protocol):
    """Moves pixels; consecutive geometric transforms are fused into one warp.

    An optional attribute `attempts` (int, default 1) is the maximum number of draws per sample until the mask has at
    least one pixel that is not ignored; the last draw is kept.
    """

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Geometry:
        """The geometry for one sample of `height` x `width` pixels; randomness from `rng` only."""


@runtime_checkable
class RareCentred(GeometricTransform, Protocol):
    """Crops windows, a fraction of them centred on a pixel of a class drawn uniformly from the classes in the mask.

    The pixel is drawn uniformly from the class's pixels in the sample's mask. For a mask without a class (all ignored),
    and a fraction of 0, only `draw` is called, with the same random numbers.
    """

    @property
    def rare_share(self) -> float:
        """Fraction (0..1) of samples for which `draw_about` is called instead of `draw`."""

    def draw_about(self, rng: np.random.Generator, height: int, width: int, row: float, column: float) -> Geometry:
        """The geometry of a window centred on (row, column) of a sample of `height` x `width` pixels."""


@runtime_checkable
class PixelTransform(Transform, Protocol):
    """Changes pixel values (or, rarely, moves pixels non-affinely)."""

    def apply(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """The changed image and mask. Must not modify its inputs, which may be cached; randomness from `rng` only."""


@dataclass(frozen=True)
class Levels:
    """value -> (value - mean) * (1 + stretch) + mean + 255 * shift, rounded and clipped to 0..255.

    `mean` is that of the image, over all channels; all channels change alike. `shift` and `stretch` are shares.
    """

    shift: float
    stretch: float

    def __call__(self, image: Image) -> Image:
        """The changed image uint8 [h, w, C]; the input is not modified."""
        import cv2  # imported here: plugin authors import this module without heavy dependencies

        flat = np.ascontiguousarray(image).reshape(image.shape[0], -1)
        mean = cv2.mean(flat)[0]
        # In pure float32 this takes half the time of a look-up table.
        changed = cv2.addWeighted(flat, 1 + self.stretch, flat, 0, 255 * self.shift - self.stretch * mean)
        return np.asarray(changed, np.uint8).reshape(image.shape)


@runtime_checkable
class LevelTransform(PixelTransform, Protocol):
    """A pixel transform that only changes levels, with parameters independent of the image."""

    def draw_levels(self, rng: np.random.Generator) -> Levels | None:
        """The change that `apply` makes, None for no change; uses `rng` as `apply` does."""


@runtime_checkable
class BatchTransform(Transform, Protocol):
    """Mixes the images of a batch with each other, after all sample transforms, on the training device."""

    def apply_batch(self, images: Tensor, masks: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Changed images uint8 [B, C, h, w] and masks uint8 [B, h, w] (0..K-1, 255 = ignore), of the same shapes.

        Must not modify its inputs; randomness from `rng` only, used identically on every device.
        """


__all__ = [
    "IGNORE",
    "BatchTransform",
    "Geometry",
    "GeometricTransform",
    "Image",
    "LevelTransform",
    "Levels",
    "Mask",
    "PixelTransform",
    "RareCentred",
    "Transform",
]
