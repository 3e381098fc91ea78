"""Bytes of an image file -> the values as they are stored: indices, bits, 16 bits and channels as they are.

8-bit pictures go through Pillow; what Pillow would quietly reduce (16-bit colour, many channels) through
tifffile or OpenCV.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segengine.errors import DataError

Image.MAX_IMAGE_PIXELS = None  # the user's own files: a large slide is no attack

_ORIENTATION = 0x0112
_MOST_CHANNELS = 64


@dataclass(frozen=True, eq=False)
class Stored:
    """Decoded file: `values` [H, W] or [H, W, C], upright; `alpha` says that the last channel is transparency."""

    values: NDArray[Any]
    bits: int
    palette: tuple[tuple[int, int, int], ...] | None = None
    alpha: bool = False
    lossy: bool = False


def file_bytes(path: Path) -> bytes:
    """The content of a file of the data. Raises DataError where it is gone, or can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        remedy = "put it back, and run the same command again" if gone else "check the path and its permissions"
        raise DataError(f"{path}: can't be read: {error.strerror}; {remedy}") from error


def decode(path: Path, data: bytes | None = None) -> Stored:
    """The stored values of a file, turned upright by its EXIF orientation.

    Args:
        path: names the file in messages; read when `data` is None.
        data: the file's bytes.

    Raises:
        DataError: a missing, empty, broken or truncated file, or one that holds several pictures.
    """
    content = file_bytes(path) if data is None else data
    if not content:
        raise DataError(f"{path}: the file is empty; export it again or remove it")
    try:
        tiff = content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
        return _tiff(path, content) if tiff else _picture(path, content)
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = "no known image format"
        raise DataError(f"{path}: can't be decoded ({reason}); export it again or remove it") from error


def _picture(path: Path, content: bytes) -> Stored:
    depth, kind = _png_header(content)
    if depth == 16 and kind != 0:
        return _by_opencv(path, content, alpha=kind in (4, 6))
    with Image.open(io.BytesIO(content)) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise DataError(f"{path}: holds {getattr(image, 'n_frames', 0)} pictures; save one picture a file")
        image.load()
        stored = _from_pillow(image, depth)
        lossy = image.format in ("JPEG", "MPO")
        return replace(stored, values=_upright(stored.values, image.getexif().get(_ORIENTATION, 1)), lossy=lossy)


def _from_pillow(image: Image.Image, depth: int) -> Stored:
    if image.mode == "1":
        return Stored(np.asarray(image).astype(np.uint8), bits=1)
    if image.mode == "P":
        flat = image.getpalette("RGB") or []
        palette = tuple((flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3))
        return Stored(np.asarray(image), bits=depth or 8, palette=palette)
    if image.mode == "L" and depth in (2, 4):  # Pillow spreads these over 0..255; the file holds 0..3 or 0..15
        return Stored(np.asarray(image) // np.uint8(255 // (2**depth - 1)), bits=depth)
    if image.mode in ("LA", "RGBA"):
        return Stored(np.asarray(image), bits=8, alpha=True)
    if image.mode in ("L", "RGB"):
        return Stored(np.asarray(image), bits=8)
    if image.mode in ("PA", "La", "RGBa"):
        return Stored(np.asarray(image.convert("RGBA")), bits=8, alpha=True)
    if image.mode.startswith("I") or image.mode == "F":
        return _wide(np.asarray(image))
    return Stored(np.asarray(image.convert("RGB")), bits=8)


def _wide(values: NDArray[Any]) -> Stored:
    """Anything with more than 8 bits, as uint16 where that holds it."""
    if values.dtype == np.bool_:
        return Stored(values.astype(np.uint8), bits=1)
    if values.dtype == np.uint8:
        return Stored(values, bits=8)
    if np.issubdtype(values.dtype, np.integer) and values.size and values.min() >= 0 and values.max() <= 65535:
        return Stored(values.astype(np.uint16), bits=16)
    return Stored(values.astype(np.float64 if values.dtype.itemsize > 4 else np.float32), bits=32)


def _tiff(path: Path, content: bytes) -> Stored:
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        series, page = tiff.series[0], tiff.pages.first
        axes, shape = series.axes, series.shape
        tag = page.tags.get(_ORIENTATION)
        orientation = int(tag.value) if tag is not None else 1
        samples = int(page.samplesperpixel)
        extra = tuple(int(e) for e in page.extrasamples)
        if any(axis in "ZT" and count > 1 for axis, count in zip(axes, shape, strict=True)):
            raise DataError(
                f"{path}: is a stack of {'x'.join(map(str, shape))} ({axes}); save one slice or frame a file"
            )
        if (
            len(tiff.pages) == 1
            and page.bitspersample <= 8
            and samples in (1, 3, 4)
            and not (samples == 4 and not extra)
        ):
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                stored = _from_pillow(image, 0)
                turn = image.getexif().get(_ORIENTATION, 1)  # Pillow turns TIFFs itself and then drops the tag
                return replace(stored, values=_upright(stored.values, turn), lossy=page.compression in (6, 7))
        alpha = bool(extra) and extra[-1] in (1, 2)
        try:
            values = _channels_last(path, series.asarray(), axes)
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            return _by_opencv(path, content, alpha=alpha)
    stored = _wide(values)
    return replace(stored, values=_upright(stored.values, orientation), alpha=alpha and values.ndim == 3)


def _channels_last(path: Path, values: NDArray[Any], axes: str) -> NDArray[Any]:
    """TIFF axes (Y and X the picture, S samples, C channels, I and Q pages of any kind) -> [H, W] or [H, W, C]."""
    for axis in reversed(range(values.ndim)):
        if values.shape[axis] == 1 and axes[axis] not in "YX" and values.ndim > 2:
            values, axes = values.squeeze(axis), axes[:axis] + axes[axis + 1 :]
    if values.ndim == 3:
        unnamed = "Y" not in axes or "X" not in axes
        channel = int(np.argmin(values.shape)) if unnamed else next(i for i in range(3) if axes[i] not in "YX")
        values = np.moveaxis(values, channel, -1)
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[-1] > _MOST_CHANNELS):
        raise DataError(f"{path}: is a stack of shape {values.shape}; save one slice or frame a file")
    return values


def _by_opencv(path: Path, content: bytes, *, alpha: bool) -> Stored:
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise DataError(f"{path}: can't be decoded (broken, or compressed in an unknown way); export it again as PNG")
    if values.ndim == 3:
        order = [2, 1, 0, *range(3, values.shape[2])] if values.shape[2] >= 3 else list(range(values.shape[2]))
        values = values[:, :, order]
    return replace(_wide(values), alpha=alpha and values.ndim == 3 and values.shape[2] in (2, 4))


def _png_header(content: bytes) -> tuple[int, int]:
    """Bit depth and colour type (0 gray, 2 RGB, 3 palette, 4 and 6 with alpha) of a PNG, else (0, 0)."""
    return (content[24], content[25]) if content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) > 25 else (0, 0)


def _upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """EXIF orientations 1..8 (CIPA DC-008, 4.6.4) undone."""
    if orientation in (5, 6, 7, 8):
        values = np.swapaxes(values, 0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return np.ascontiguousarray(values)
