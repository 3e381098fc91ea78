"""Image files -> arrays as the exported network takes them, by Pillow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from segengine_runtime.errors import ModelError

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
"""What Pillow may open; others, such as EPS, would start other programs."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
PERCENTILES = (0.5, 99.5)


def read(path: Path, largest_pixels: int) -> NDArray[Any]:
    """The stored values of a picture, upright: [H, W] or [H, W, C], palette colours looked up.

    Raises:
        ModelError: no picture, a broken one, or one of more than `largest_pixels` pixels.
    """
    try:
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > largest_pixels:
                raise ModelError(
                    f"{path}: declares {width}x{height} pixels, and the limit is {largest_pixels:,}; cut it into parts"
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
        raise ModelError(f"{path}: there is no such file") from None
    except Exception as error:  # decoders raise many types for broken files
        raise ModelError(f"{path}: can't be read ({type(error).__name__}: {error})") from error


def prepared(values: NDArray[Any], where: str | os.PathLike[str], *, channels: int, deep: bool) -> NDArray[Any]:
    """Values [H, W] or [H, W, C] with the number of channels and the depth that the network was trained with.

    Gray becomes three channels by repetition, colour one by luma, alpha is dropped.

    Raises:
        ModelError: another depth, or channels that don't fit.
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
        raise ModelError(f"{where}: has {found} channels and the model was trained on {channels}")
    if deep == (values.dtype == np.uint8):
        wanted = "more than 8 bits" if deep else "8 bits"
        raise ModelError(
            f"{where}: has values of type {values.dtype} and the model was trained on images with {wanted} per value"
        )
    return values


def through_image_window(values: NDArray[Any]) -> NDArray[np.uint8]:
    """[H, W, C] -> uint8 by the 0.5 and 99.5 percentiles of each channel of this image."""
    result = np.zeros(values.shape, np.uint8)
    for band in range(values.shape[2]):
        plane = values[:, :, band].astype(np.float64)
        valid = plane[np.isfinite(plane)]
        low, high = np.percentile(valid, PERCENTILES) if valid.size else (0.0, 0.0)
        high = high if high > low else low + 1.0
        scaled = np.nan_to_num((plane - low) * 255.0 / (high - low), nan=0.0)
        result[:, :, band] = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return result
