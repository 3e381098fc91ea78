"""What a sample transform is: geometry (fused into one warp) or a change of pixel values."""

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
class RareCentred(GeometricTransform, Protocol):
    """Takes windows, a share of them about a pixel of a class that is drawn with equal chances from those in the mask.

    The pixel is drawn from the sample's own mask with equal chances for each of the class's pixels. A mask without a
    class (all ignored), and a share of 0, leave everything to `draw`, with the same random numbers.
    """

    @property
    def rare_share(self) -> float:
        """Share (0..1) of the samples that `draw_about` is asked for instead of `draw`."""

    def draw_about(self, rng: np.random.Generator, height: int, width: int, row: float, column: float) -> Geometry:
        """The geometry of a window about (row, column), in pixels of the `height` x `width` sample that it is given."""


@runtime_checkable
class PixelTransform(Transform, Protocol):
    """Changes pixel values (or, rarely, moves pixels in a way that no affine map describes)."""

    def apply(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """The changed image and mask; the given arrays stay as they are (they may be cached), `rng` is all randomness."""


@dataclass(frozen=True)
class Levels:
    """value -> (value - mean) * (1 + stretch) + mean + 255 * shift, rounded and clipped to 0..255.

    `mean` is that of the image, over all channels; all channels change alike. `shift` and `stretch` are shares.
    """

    shift: float
    stretch: float

    def __call__(self, image: Image) -> Image:
        """The changed image uint8 [h, w, C]; the given one stays as it is."""
        import cv2  # plugin authors import this module, and nothing heavy with it

        flat = np.ascontiguousarray(image).reshape(image.shape[0], -1)
        mean = cv2.mean(flat)[0]
        # In one precision only, float32, this takes half of a look-up table's time.
        changed = cv2.addWeighted(flat, 1 + self.stretch, flat, 0, 255 * self.shift - self.stretch * mean)
        return np.asarray(changed, np.uint8).reshape(image.shape)


@runtime_checkable
class LevelTransform(PixelTransform, Protocol):
    """A pixel transform that only changes levels, and knows how before it has seen the image."""

    def draw_levels(self, rng: np.random.Generator) -> Levels | None:
        """What `apply` would do to an image, None where it would leave it; draws from `rng` as `apply` does."""


@runtime_checkable
class BatchTransform(Transform, Protocol):
    """Mixes the images of a batch with each other, after all sample transforms, on the device that trains."""

    def apply_batch(self, images: Tensor, masks: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Changed images uint8 [B, C, h, w] and masks uint8 [B, h, w] (0..K-1, 255 = ignore), of the same shapes.

        The given tensors stay as they are; `rng` is all randomness, and is drawn from alike on every device.
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
