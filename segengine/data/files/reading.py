"""Image files -> uint8 pictures; mask files -> their raw values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.decoding import Stored, decode
from segengine.data.masks.mapping import MaskEncoding
from segengine.data.sources.records import SUFFIXES
from segengine.errors import DataError

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def read_image(
    path: Path, *, channels: int | None = None, window: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """An image as uint8 [H, W, C], upright (EXIF orientation applied).

    Args:
        path: the file.
        channels: how many the result has; None keeps the file's. Gray becomes three by repetition, colour becomes
            one by luma (0.299 R + 0.587 G + 0.114 B, ITU-R BT.601); transparency is dropped unless it makes the
            number right. Any other difference is an error.
        window: (low, high) in stored values that becomes 0..255, linearly, rounded, clipped; needed for images with
            more than 8 bits, without effect on others.

    Raises:
        DataError: a broken file, channels that don't fit, or more than 8 bits without a window.
    """
    return to_picture(decode(path), path, channels=channels, window=window)


def to_picture(
    stored: Stored, path: Path, *, channels: int | None = None, window: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """The same for a decoded file."""
    values = _in_channels(colours(stored, channels), path, channels)
    if stored.bits <= 8:
        return np.ascontiguousarray(values.astype(np.uint8))
    if window is None:
        raise DataError(
            f"{path}: has {stored.bits} bits a value ({_range(values)}); set data.window: auto, "
            "or the [low, high] that becomes black and white"
        )
    return through_window(values, window)


def through_window(values: NDArray[Any], window: tuple[float, float]) -> NDArray[np.uint8]:
    """Any numbers -> uint8: `low` and below 0, `high` and above 255, linear and rounded between; NaN is 0."""
    low, high = window
    if not high > low:
        raise DataError(f"the window [{low:g}, {high:g}] is empty; data.window needs low < high")
    if values.dtype == np.uint16:
        table = through_window(np.arange(65536, dtype=np.float64), window)
        return np.asarray(table[values])
    scaled = (values.astype(np.float64) - low) * 255.0 / (high - low)
    return np.rint(np.clip(np.nan_to_num(scaled, nan=0.0), 0, 255)).astype(np.uint8)


def colours(stored: Stored, channels: int | None = None) -> NDArray[Any]:
    """Stored values [H, W, C] as a picture: palette looked up, 1 to 4 bits spread to 0..255, transparency dropped."""
    values = stored.values
    if stored.palette is not None:
        table = np.zeros((256, 3), np.uint8)
        table[: len(stored.palette)] = stored.palette
        values = table[values]
    elif stored.bits < 8:
        values = values * np.uint8(255 // (2**stored.bits - 1))
    values = values if values.ndim == 3 else values[:, :, None]
    if stored.alpha and values.shape[2] != channels:
        values = values[:, :, :-1]
    return values


def _in_channels(values: NDArray[Any], path: Path, channels: int | None) -> NDArray[Any]:
    found = values.shape[2]
    if channels is None or found == channels:
        return values
    if found == 1 and channels == 3:
        return np.repeat(values, 3, axis=2)
    if found == 3 and channels == 1:
        luma = values @ _LUMA
        whole = np.issubdtype(values.dtype, np.integer)
        return np.expand_dims(np.rint(luma).astype(values.dtype) if whole else luma, 2)
    raise DataError(f"{path}: has {found} channels and data.channels is {channels}; correct the setting or the image")


def read_mask(path: Path) -> NDArray[Any]:
    """The raw stored values of a mask: uint8/uint16 [H, W], or uint8 [H, W, 3] for colours.

    Palette masks give their indices, 1-bit masks 0 and 1, 16 bits stay exact; colours with red = green = blue in
    the whole mask are gray; transparency is dropped. An EXIF orientation is applied, as viewers do.

    Raises:
        DataError: a broken file, or values that no mask has.
    """
    return mask_values(decode(path), path)


def mask_values(stored: Stored, path: Path) -> NDArray[Any]:
    """The same for a decoded file."""
    values = stored.values
    if stored.palette is not None:
        return values
    if stored.alpha:
        values, alpha = values[..., :-1], values[..., -1]
        if values.size and values.min() == values.max() and alpha.min() != alpha.max():
            raise DataError(
                f"{path}: the mask is in the transparency only; save it without transparency, as gray values"
            )
    if values.ndim == 3 and (values.shape[2] == 1 or bool((values == values[:, :, :1]).all())):
        values = values[:, :, 0]
    if values.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"{path}: masks hold whole numbers from 0 to 65535, and this one {_range(values)}; export it as PNG"
        )
    if values.ndim == 3 and (values.shape[2] != 3 or values.dtype != np.uint8):
        raise DataError(
            f"{path}: a mask has one channel or 8-bit red, green and blue, "
            f"and this one {values.shape[2]} channels of {stored.bits} bits; export it again"
        )
    return np.ascontiguousarray(values)


def mask_encoding(stored: Stored, values: NDArray[Any], suffix: str) -> MaskEncoding:
    """How a decoded mask stores its values; suffixes that lose values become ".png"."""
    suffix = ".png" if stored.lossy or suffix.lower() not in SUFFIXES else suffix.lower()
    if stored.palette is not None:
        return MaskEncoding("palette", stored.bits, stored.palette, suffix)
    if values.ndim == 3:
        return MaskEncoding("rgb", 8, None, suffix, 3)
    channels = 3 if stored.values.ndim == 3 and stored.values.shape[2] >= 3 and stored.bits == 8 else 1
    return MaskEncoding("gray", stored.bits, None, suffix, channels)


def _range(values: NDArray[Any]) -> str:
    return f"{values.dtype} {values.min():g} to {values.max():g}" if values.size else str(values.dtype)


__all__ = ["colours", "mask_encoding", "mask_values", "read_image", "read_mask", "through_window", "to_picture"]
