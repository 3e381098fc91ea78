"""JPEG, BMP, GIF and WebP through Pillow, each opened only by the plugin that its signature selects."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, WebPImagePlugin  # noqa: F401 (registers WebP)

from segengine.data.files.formats import format_of
from segengine.data.files.limits import check_size
from segengine.data.files.stored import Stored, upright
from segengine.data.masks.mapping import MaskEncoding
from segengine.errors import DataError

Image.MAX_IMAGE_PIXELS = None  # `check_size` enforces the configurable limit before pixels are decoded

ORIENTATION_TAG = 0x0112
_MOST_SCANS = 1000
Image.preinit()  # imports Pillow's common decoders here, and not in the first thread that opens a file


def read(path: Path, content: bytes) -> Stored:
    """Decode one image. Raises DataError for several images in one file, or a size above the limit."""
    return read_pillow(path, content, depth=0)


def read_pillow(
    path: Path, content: bytes, *, depth: int, check: Callable[[NDArray[Any]], None] | None = None
) -> Stored:
    """Decode by the Pillow plugin of the content's signature.

    Args:
        path: for messages.
        content: the file.
        depth: a PNG's bits per value, else 0.
        check: called with the values before the EXIF orientation is applied; may raise.
    """
    plugin = format_of(path, content).name.upper()
    if plugin == "JPEG" and content.count(b"\xff\xda") > _MOST_SCANS:
        raise DataError(f"{path}: is a JPEG of more than {_MOST_SCANS} scans; export it again or remove it")
    with Image.open(io.BytesIO(content), formats=[plugin]) as image:
        check_size(path, image.height, image.width, len(image.getbands()))
        frames = int(getattr(image, "n_frames", 1))
        if frames > 1:
            raise DataError(f"{path}: holds {frames} images; save one image per file")
        notes = ("CMYK inks are converted to red, green and blue",) if image.mode == "CMYK" else ()
        image.load()
        values, bits, palette, alpha = _values(image, depth)
        if check is not None:
            check(values)
        turned = upright(values, image.getexif().get(ORIENTATION_TAG, 1))
    lossy = plugin == "JPEG" or (plugin == "WEBP" and b"VP8L" not in content[:64])
    return Stored(turned, bits, palette, alpha, lossy, notes=notes)


def _values(image: Image.Image, depth: int) -> tuple[NDArray[Any], int, tuple[tuple[int, int, int], ...] | None, bool]:
    """Values, bits per value, palette, and whether the last channel is transparency."""
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8), 1, None, False
    if image.mode == "P":
        flat = image.getpalette("RGB") or []
        palette = tuple((flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3))
        return np.asarray(image), depth or 8, palette, False
    if image.mode == "L" and depth in (2, 4):  # Pillow scales these to 0..255; the file stores 0..3 or 0..15
        return np.asarray(image) // np.uint8(255 // (2**depth - 1)), depth, None, False
    if image.mode in ("L", "RGB"):
        return np.asarray(image), 8, None, False
    if image.mode in ("LA", "RGBA"):
        return np.asarray(image), 8, None, True
    if image.mode in ("PA", "La", "RGBa"):
        return np.asarray(image.convert("RGBA")), 8, None, True
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16), 16, None, False
    return np.asarray(image.convert("RGB")), 8, None, False


def write(raw: NDArray[Any], encoding: MaskEncoding, path: Path) -> bytes:
    """Encode a mask as BMP or GIF. Raises DataError for 16-bit masks, and for colour masks as GIF."""
    suffix = path.suffix.lower()
    if raw.dtype == np.uint16:
        raise DataError(f"{path}: {suffix} holds 8 bits, and the masks have 16; write .png")
    if suffix == ".gif" and raw.ndim == 3:
        raise DataError(f"{path}: .gif would lose colours; write .png")
    options: dict[str, Any] = {"optimize": False} if suffix == ".gif" else {}
    if suffix == ".gif" and encoding.kind != "palette":
        encoding = MaskEncoding("gray", 8)
    return saved(to_pillow(raw, encoding), suffix[1:].upper(), **options)


def saved(image: Image.Image, plugin: str, **options: Any) -> bytes:
    """The encoded image as bytes."""
    buffer = io.BytesIO()
    image.save(buffer, plugin, **options)
    return buffer.getvalue()


def to_pillow(raw: NDArray[Any], encoding: MaskEncoding) -> Image.Image:
    """A mask as a Pillow image in the mode required by its encoding."""
    if raw.ndim == 2 and encoding.kind == "palette":
        image = Image.fromarray(raw.astype(np.uint8), "L")
        coloured = Image.new("P", image.size)
        coloured.putdata(image.tobytes())
        coloured.putpalette([part for colour in encoding.palette or () for part in colour])
        return coloured
    if raw.ndim == 2 and encoding.bits == 1:
        return Image.fromarray(raw.astype(bool))
    if raw.ndim == 2 and encoding.channels == 3:
        return Image.fromarray(np.repeat(raw.astype(np.uint8)[:, :, None], 3, axis=2))
    return Image.fromarray(np.ascontiguousarray(raw))
