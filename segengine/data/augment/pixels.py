"""Built-in transforms of pixel values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segengine.data.augment.transforms import Image, Levels, Mask


@dataclass(frozen=True)
class BrightnessContrast:
    """Shifts brightness by up to `brightness` of the full range, and scales contrast about the mean by up to `contrast`.

    Samples `Levels` with shift in [-brightness, brightness] and stretch in [-contrast, contrast].
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
