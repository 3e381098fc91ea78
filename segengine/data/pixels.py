"""The built-in transforms of pixel values."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segengine.data.transforms import Image, Mask


@dataclass(frozen=True)
class Levels:
    """value -> (value - mean) * (1 + stretch) + mean + 255 * shift, rounded and clipped to 0..255.

    `mean` is that of the image, over all channels; all channels change alike.
    """

    shift: float
    stretch: float

    def table(self, mean: float) -> npt.NDArray[np.uint8]:
        """The new value of each of 0..255 in an image of this mean, uint8 [256]."""
        levels = (np.arange(256) - mean) * (1 + self.stretch) + mean + 255 * self.shift
        table: npt.NDArray[np.uint8] = np.rint(levels).clip(0, 255).astype(np.uint8)
        return table

    def __call__(self, image: Image) -> Image:
        """The changed image uint8 [h, w, C]; the given one stays as it is."""
        flat = np.ascontiguousarray(image).reshape(image.shape[0], -1)
        return np.asarray(cv2.LUT(flat, self.table(cv2.mean(flat)[0])), np.uint8).reshape(image.shape)


@dataclass(frozen=True)
class BrightnessContrast:
    """Adds up to `brightness` of the full range, and stretches about the image's mean by up to `contrast`.

    Draws `Levels` with the shift in [-brightness, brightness] and the stretch in [-contrast, contrast].
    """

    brightness: float
    contrast: float
    probability: float = 1.0
    size: tuple[int, int] | None = None

    def draw_levels(self, rng: np.random.Generator) -> Levels | None:
        chance, (shift, stretch) = rng.random(), rng.uniform(-1, 1, 2)
        if chance >= self.probability:
            return None
        return Levels(float(shift) * self.brightness, float(stretch) * self.contrast)

    def apply(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        levels = self.draw_levels(rng)
        return (image if levels is None else levels(image)), mask
