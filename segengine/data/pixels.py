"""The built-in transforms of pixel values."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from segengine.data.transforms import Image, Mask


@dataclass(frozen=True)
class Levels:
    """value -> (value - mean) * (1 + stretch) + mean + 255 * shift, rounded and clipped to 0..255.

    `mean` is that of the image, over all channels; all channels change alike.
    """

    shift: float
    stretch: float

    def __call__(self, image: Image) -> Image:
        """The changed image uint8 [h, w, C]; the given one stays as it is."""
        flat = np.ascontiguousarray(image).reshape(image.shape[0], -1)
        mean = cv2.mean(flat)[0]
        # In one precision only, float32, this takes half of a look-up table's time.
        changed = cv2.addWeighted(flat, 1 + self.stretch, flat, 0, 255 * self.shift - self.stretch * mean)
        return np.asarray(changed, np.uint8).reshape(image.shape)


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
