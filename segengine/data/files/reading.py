"""Reads image files as uint8 arrays and mask files as raw values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.decoding import Stored, decode
from segengine.data.files.formats import LOSSLESS_SUFFIXES
from segengine.data.files.windows import PER_IMAGE, Window, as_windows, image_windows, row_chunks, through_windows
from segengine.data.masks.mapping import MaskEncoding
from segengine.errors import DataError, counted

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
NODATA_RAW = 65535
"""Raw value of mask pixels that are NaN or have a declared nodata value outside 0..65535."""

AnyWindow = Window | Sequence[Window] | Literal["per-image"] | None


def read_image(path: Path, *, channels: int | None = None, window: AnyWindow = None) -> NDArray[np.uint8]:
    """An image as uint8 [H, W, C], upright (EXIF orientation applied).

    Args:
        path: the file.
        channels: number of channels of the result; None keeps the file's. Gray is repeated three times, colour becomes
            one channel by luma (0.299 R + 0.587 G + 0.114 B, ITU-R BT.601); transparency is dropped unless it is needed to
            reach this number. Any other difference is an error.
        window: (low, high) in stored values, mapped linearly to 0..255, rounded and clipped; or one such pair per channel;
            or "per-image", the 0.5 and 99.5 percentiles of each of the image's channels. Required for images with more
            than 8 bits, ignored for others. Pixels without a measurement (NaN, nodata) become 0.

    Raises:
        DataError: a corrupt file, an incompatible number of channels, or more than 8 bits without a window.
    """
    return to_picture(decode(path), path, channels=channels, window=window)


def read_picture(
    path: Path, *, channels: int | None = None, window: AnyWindow = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """`read_image`, and the mask of pixels without a measurement: bool [H, W], None if all pixels are valid."""
    stored = decode(path)
    return to_picture(stored, path, channels=channels, window=window), stored.missing


def to_picture(
    stored: Stored, path: Path, *, channels: int | None = None, window: AnyWindow = None
) -> NDArray[np.uint8]:
    """`read_image` for a decoded file."""
    values = channel_values(stored, path, channels)
    if not stored.deep:
        picture = np.ascontiguousarray(values.astype(np.uint8))
    else:
        windows = as_windows(window)
        if windows is None:
            raise DataError(
                f"{path}: has {stored.bits} bits per value ({_range(values)}); set data.window: auto, "
                "or [low, high], the values mapped to black and white"
            )
        if windows == PER_IMAGE:
            windows = image_windows(values, stored.nodata, stored.missing)
        try:
            picture = through_windows(values, windows)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
    if stored.missing is not None:
        if not picture.flags.writeable:
            picture = picture.copy()
        picture[stored.missing] = 0
    return picture


def check_fits(stored: Stored, path: Path, *, channels: int, deep: bool) -> None:
    """Check that an image fits a model trained on images with `channels` channels and more than 8 bits (`deep`) or not.

    Raises:
        DataError: another bit depth, or an incompatible number of channels; says what to do.
    """
    kept = 3 if stored.palette is not None else 1 if stored.values.ndim == 2 else stored.values.shape[2]
    fitting = {kept, kept - stored.alpha}
    if channels not in fitting and not (channels in (1, 3) and fitting & {1, 3}):
        raise DataError(
            f"{path}: has {counted(kept, 'channel')}, but the model was trained on {channels}; give it images with the "
            f"{counted(channels, 'channel')} of the training images, in their order"
        )
    if stored.deep and not deep:
        raise DataError(
            f"{path}: has {stored.bits} bits per value ({_range(stored.values)}), but the model was trained on 8-bit images; "
            "convert it to 8 bits as the training images were"
        )
    if deep and not stored.deep:
        raise DataError(
            f"{path}: has 8 bits per value, but the model was trained on images with more, through their window; "
            "give it the original image, before it was converted to 8 bits"
        )


def channel_values(stored: Stored, path: Path, channels: int | None) -> NDArray[Any]:
    """Network input before windowing: [H, W, C] in the file's dtype, or float64 luma.

    Raises:
        DataError: an incompatible number of channels.
    """
    return _in_channels(colours(stored, path, channels), path, channels)


def colours(stored: Stored, path: Path, channels: int | None = None) -> NDArray[Any]:
    """Stored values as an image [H, W, C]: palette applied, 1 to 4 bits scaled to 0..255, transparency dropped."""
    values = stored.values
    if stored.palette is not None:
        used = int(values.max(initial=0))
        if used >= len(stored.palette):
            raise DataError(
                f"{path}: has the palette index {used} but only {len(stored.palette)} palette colours; export it again"
            )
        values = np.array(stored.palette, np.uint8)[values]
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
        return _luma(values)
    raise DataError(
        f"{path}: has {counted(found, 'channel')} and data.channels is {channels}; correct the setting or the image"
    )


def _luma(values: NDArray[Any]) -> NDArray[Any]:
    """Red, green and blue [H, W, 3] -> luma [H, W, 1]: integers rounded, floats as float64."""
    whole = np.issubdtype(values.dtype, np.integer)
    result = np.empty((*values.shape[:2], 1), values.dtype if whole else np.float64)
    for rows in row_chunks(values.shape):
        luma = values[rows] @ _LUMA
        result[rows, :, 0] = np.rint(luma) if whole else luma
    return result


def read_mask(path: Path) -> NDArray[Any]:
    """The raw stored values of a mask: uint8/uint16 [H, W], or uint8 [H, W, 3] for colours.

    Palette masks return their indices, 1-bit masks 0 and 1; 16-bit values are exact. Whole numbers from 0 to 65535 in other
    types become uint16; colour masks with red = green = blue in every pixel become gray; transparency is dropped. An EXIF
    orientation is applied. Pixels that are NaN, or have a declared nodata value outside 0..65535, become
    65535.

    Raises:
        DataError: a corrupt file, or values that are not valid in a mask.
    """
    return mask_values(decode(path), path)


def mask_values(stored: Stored, path: Path) -> NDArray[Any]:
    """`read_mask` for a decoded file."""
    values = stored.values
    if stored.palette is not None:
        return values
    if stored.alpha:
        values, alpha = values[..., :-1], values[..., -1]
        if values.size and values.min() == values.max() and alpha.min() != alpha.max():
            raise DataError(
                f"{path}: the mask is stored in the alpha channel only; save it as gray values without transparency"
            )
    if values.ndim == 3 and (values.shape[2] == 1 or bool((values == values[:, :, :1]).all())):
        values = values[:, :, 0]
    if values.dtype not in (np.uint8, np.uint16):
        values = _whole_numbers(values, stored, path)
    if values.ndim == 3 and (values.shape[2] != 3 or values.dtype != np.uint8):
        raise DataError(
            f"{path}: a mask has one channel or 8-bit red, green and blue, "
            f"and this one {counted(values.shape[2], 'channel')} of {stored.bits} bits; export it again"
        )
    return np.ascontiguousarray(values)


def _whole_numbers(values: NDArray[Any], stored: Stored, path: Path) -> NDArray[np.uint16]:
    """Masks saved as int8, int32, float and similar -> uint16, pixels without a measurement as 65535."""
    floats = np.issubdtype(values.dtype, np.floating)
    absent = np.isnan(values) if floats else np.zeros(values.shape, bool)
    nodata = stored.nodata
    if nodata is not None and not (nodata.is_integer() and 0 <= nodata <= 65535):
        absent = absent | (values == values.dtype.type(nodata) if floats else values == nodata)
    present = values[~absent]
    fits = bool(((present >= 0) & (present <= 65535)).all()) and not (floats and bool((present % 1).any()))
    if not fits:
        raise DataError(
            f"{path}: masks hold whole numbers from 0 to 65535, and this one {_range(present)}; export it as PNG"
        )
    if absent.any() and bool((present == NODATA_RAW).any()):
        raise DataError(
            f"{path}: has the value {NODATA_RAW} beside pixels without a value (NaN or nodata), which are read as "
            f"{NODATA_RAW}; save the mask as whole numbers with one value for ignored pixels"
        )
    result = np.full(values.shape, NODATA_RAW, np.uint16)
    result[~absent] = present
    return result


def mask_encoding(stored: Stored, values: NDArray[Any], suffix: str) -> MaskEncoding:
    """Encoding of a decoded mask; suffixes of lossy formats become ".png"."""
    suffix = ".png" if stored.lossy or suffix.lower() not in LOSSLESS_SUFFIXES else suffix.lower()
    if stored.palette is not None:
        return MaskEncoding("palette", stored.bits, stored.palette, suffix)
    if values.ndim == 3:
        return MaskEncoding("rgb", 8, None, suffix, 3)
    channels = 3 if stored.values.ndim == 3 and stored.values.shape[2] >= 3 and stored.bits == 8 else 1
    return MaskEncoding("gray", 16 if values.dtype == np.uint16 else stored.bits, None, suffix, channels)


def _range(values: NDArray[Any]) -> str:
    return f"{values.dtype} {values.min():g} to {values.max():g}" if values.size else str(values.dtype)


__all__ = [
    "colours",
    "check_fits",
    "mask_encoding",
    "mask_values",
    "read_image",
    "read_mask",
    "read_picture",
    "to_picture",
]
