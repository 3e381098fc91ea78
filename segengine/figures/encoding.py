"""PNG encoding with a size limit."""

import base64
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Dither, Image

LIMIT_BYTES = 580_000


def png_of(
    pixels: NDArray[np.uint8], *, keep: Sequence[tuple[int, int, int]] = (), limit_bytes: int = LIMIT_BYTES
) -> bytes:
    """Encode uint8 [H, W, 3] as PNG of at most `limit_bytes`: lossless, else with 256 colours, else also downscaled.

    The colours in `keep` are exact in a palette too, so that they still match a legend.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    data = _encoded(image)
    while len(data) > limit_bytes:
        for dither in (Image.Dither.FLOYDSTEINBERG, Image.Dither.NONE):
            data = _encoded(_in_palette(image, keep, dither))
            if len(data) <= limit_bytes:
                return data
        shrink = min(7 / 8, math.sqrt(limit_bytes / len(data)))
        size = (max(1, int(image.width * shrink)), max(1, int(image.height * shrink)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    return data


def _in_palette(image: "Image", keep: Sequence[tuple[int, int, int]], dither: "Dither") -> "Image":
    """The image in 256 colours: the ones to keep, then an adaptive palette."""
    from PIL import Image

    kept = list(dict.fromkeys(keep))[:192]
    suited = (image.quantize(256 - len(kept)).getpalette() or [])[: 3 * (256 - len(kept))]
    palette = [value for colour in kept for value in colour] + suited
    holder = Image.new("P", (1, 1))
    holder.putpalette(palette)
    indices = np.array(image.quantize(palette=holder, dither=dither))
    # Pillow's colour lookup is coarse and would tint a white background, so pixels of kept colours are set explicitly.
    packed = _packed(np.asarray(image))
    for index, colour in enumerate(kept):
        indices[packed == _packed(np.array(colour, np.uint8))] = index
    found = Image.fromarray(indices)
    found.putpalette(palette)
    return found


def _packed(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    wide = colours.astype(np.uint32)
    packed: NDArray[np.uint32] = wide[..., 0] * np.uint32(65536) + wide[..., 1] * np.uint32(256) + wide[..., 2]
    return packed


def _encoded(image: "Image") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def data_uri(png: bytes) -> str:
    """A PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
