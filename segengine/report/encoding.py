"""Pixels as PNG of moderate size."""

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

LIMIT_BYTES = 560_000
STEPS = (1, 4, 8)  # of gray levels; 4 can't be seen, 8 hardly, and noise that isn't there needs no bytes


def png_of(pixels: NDArray[np.uint8], limit_bytes: int = LIMIT_BYTES) -> bytes:
    """uint8 [H, W, 3] as PNG; beyond `limit_bytes` in coarser levels of gray, then smaller and smaller."""
    from PIL import Image

    for step in STEPS:
        levels = np.minimum((pixels.astype(np.uint16) + step // 2) // step * step, 255).astype(np.uint8)
        image = Image.fromarray(levels)
        data = _encoded(image)
        if len(data) <= limit_bytes:
            return data
    while len(data) > limit_bytes:
        size = (max(1, image.width * 7 // 8), max(1, image.height * 7 // 8))
        image = image.resize(size, Image.Resampling.LANCZOS)
        data = _encoded(image)
    return data


def _encoded(image: "Image") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
