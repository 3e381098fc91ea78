"""Reading of image files with Pillow, and conversion to the input of an exported network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from segengine_runtime.errors import ModelError

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
"""Formats that Pillow may open; others, such as EPS, would start external programs."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
PERCENTILES = (0.5, 99.5)


def read(path: Path, largest_pixels: int) -> NDArray[Any]:
    """Stored values of an image file, [H, W] or [H, W, C], with EXIF orientation applied and palettes converted to RGB.

    Raises:
        ModelError: the file is not an image, is damaged, or has more than `largest_pixels` pixels.
    """
    try:
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > largest_pixels:
                raise ModelError(
                    f"{path}: has {width}x{height} pixels according to its header, the limit is {largest_pixels:,}; cut it into tiles"
                )
            upright = ImageOps.exif_transpose(picture)
            if upright.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
                upright = upright.convert("RGBA" if "transparency" in upright.info else "RGB")
            if upright.mode == "1":
                upright = upright.convert("L")
            return np.asarray(upright)
    except ModelError:
        raise
    except UnidentifiedImageError:
        raise ModelError(f"{path}: not an image ({', '.join(FORMATS)})") from None
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except Exception as error:  # decoders raise many exception types for damaged files
        raise ModelError(f"{path}: can't be read ({type(error).__name__}: {error})") from error


def prepared(values: NDArray[Any], where: str | os.PathLike[str], *, channels: int, deep: bool) -> NDArray[Any]:
    """Values [H, W, C] with the number of channels of the model, from values [H, W] or [H, W, C].

    Gray is repeated to three channels, colour is converted to luma, alpha is removed.

    Args:
        where: name of the image in messages.
        channels: number of channels of the model.
        deep: whether the model was trained on images with more than 8 bits.

    Raises:
        ModelError: different bit depth, or an unsuitable number of channels.
    """
    values = values if values.ndim == 3 else values[:, :, None]
    if values.ndim != 3 or 0 in values.shape:
        raise ModelError(f"{where}: an image has the shape [H, W] or [H, W, C], not {list(values.shape)}")
    if values.shape[2] in (2, 4) and values.shape[2] != channels:
        values = values[:, :, :-1]
    found = values.shape[2]
    if found == 3 and channels == 1:
        luma = values.astype(np.float32) @ _LUMA
        whole = np.issubdtype(values.dtype, np.integer)
        values = (np.rint(luma).astype(values.dtype) if whole else luma)[:, :, None]
    elif found == 1 and channels == 3:
        values = np.repeat(values, 3, axis=2)
    elif found != channels:
        raise ModelError(f"{where}: has {found} channels, but the model was trained on {channels}")
    if deep == (values.dtype == np.uint8):
        wanted = "more than 8 bits" if deep else "8 bits"
        raise ModelError(
            f"{where}: has values of type {values.dtype}, but the model was trained on images with {wanted} per value"
        )
    return values


def through_image_window(values: NDArray[Any]) -> NDArray[np.uint8]:
    """[H, W, C] -> uint8 [H, W, C], by a window from the 0.5 to the 99.5 percentile of each channel of the image."""
    result = np.zeros(values.shape, np.uint8)
    for band in range(values.shape[2]):
        plane = values[:, :, band].astype(np.float64)
        valid = plane[np.isfinite(plane)]
        low, high = np.percentile(valid, PERCENTILES) if valid.size else (0.0, 0.0)
        high = high if high > low else low + 1.0
        scaled = np.nan_to_num((plane - low) * 255.0 / (high - low), nan=0.0)
        result[:, :, band] = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return result
