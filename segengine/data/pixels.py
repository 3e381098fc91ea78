"""The built-in transforms of pixel values."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from segengine.data.transforms import Image, Mask


@dataclass(frozen=True)
class BrightnessContrast:
    """Adds up to `brightness` of the full range, and stretches about the image's mean by up to `contrast`.

    value -> (value - mean) * (1 + c) + mean + 255 * b with c in [-contrast, contrast] and b in
    [-brightness, brightness], rounded and clipped to 0..255; the same for all channels.
    """

    brightness: float
    contrast: float
    probability: float = 1.0
    size: tuple[int, int] | None = None

    def apply(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        chance, shift, stretch = rng.random(), *rng.uniform(-1, 1, 2)
        if chance >= self.probability:
            return image, mask
        flat = np.ascontiguousarray(image).reshape(image.shape[0], -1)
        mean = cv2.mean(flat)[0]
        levels = (np.arange(256) - mean) * (1 + stretch * self.contrast) + mean + 255 * shift * self.brightness
        table = np.rint(levels).clip(0, 255).astype(np.uint8)
        return np.asarray(cv2.LUT(flat, table), np.uint8).reshape(image.shape), mask
