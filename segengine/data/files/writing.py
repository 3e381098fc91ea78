"""Masks -> files in the encoding that the user's masks have; lossless and atomic."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from segengine.data.masks.mapping import MaskEncoding
from segengine.errors import DataError
from segengine.files import write_bytes

LOSSLESS = (".png", ".tif", ".tiff", ".bmp", ".gif")
_FORMATS = {".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".tif": "TIFF", ".tiff": "TIFF"}


def write_mask(path: Path, raw: NDArray[Any], encoding: MaskEncoding) -> None:
    """Write raw mask values so that `read_mask` gives them back, with the encoding's bits and palette.

    Args:
        path: ends in .png, .tif, .tiff, .bmp or .gif; replaced as a whole, or left as it was.
        raw: uint8/uint16 [H, W] or uint8 [H, W, 3].
        encoding: how the user's masks are stored.

    Raises:
        DataError: a suffix that would lose values, or values that the encoding can't hold.
    """
    suffix = path.suffix.lower()
    if suffix not in LOSSLESS:
        raise DataError(f"{path}: '{suffix}' would lose mask values; write .png")
    most = 65535 if encoding.bits == 16 else 2**encoding.bits - 1
    if raw.ndim == 2 and raw.size and int(raw.max()) > most:
        raise DataError(f"{path}: value {int(raw.max())} doesn't fit the masks' {encoding.bits} bits (at most {most})")
    write_bytes(path, _encoded(raw, encoding, suffix, path))


def _encoded(raw: NDArray[Any], encoding: MaskEncoding, suffix: str, path: Path) -> bytes:
    if encoding.bits in (2, 4) and encoding.kind == "gray" and raw.ndim == 2 and suffix == ".png":
        return _small_png(raw, encoding.bits)
    if raw.dtype == np.uint16 and suffix not in (".png", ".tif", ".tiff"):
        raise DataError(f"{path}: {suffix} holds 8 bits, and the masks have 16; write .png")
    buffer = io.BytesIO()
    if raw.dtype == np.uint16 and suffix != ".png":
        tifffile.imwrite(buffer, raw, photometric="minisblack", compression="zlib")
        return buffer.getvalue()
    options: dict[str, object] = {"compression": "tiff_adobe_deflate"} if suffix.startswith(".tif") else {}
    if encoding.kind == "palette" and suffix == ".png":
        options["bits"] = encoding.bits
    if suffix == ".gif":
        if raw.ndim == 3:
            raise DataError(f"{path}: .gif would lose colours; write .png")
        options["optimize"] = False
        encoding = replace(encoding, bits=8, channels=1)
    _pillow_image(raw, encoding).save(buffer, _FORMATS[suffix], **options)
    return buffer.getvalue()


def _pillow_image(raw: NDArray[Any], encoding: MaskEncoding) -> Image.Image:
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


def _small_png(raw: NDArray[Any], bits: int) -> bytes:
    """A gray PNG with 2 or 4 bits, which Pillow can read and not write (PNG specification, section 11)."""
    height, width = raw.shape
    per_byte = 8 // bits
    padded = np.zeros((height, -(-width // per_byte) * per_byte), np.uint8)
    padded[:, :width] = raw
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    packed = (padded.reshape(height, -1, per_byte) << shifts).sum(axis=2).astype(np.uint8)
    rows = np.concatenate([np.zeros((height, 1), np.uint8), packed], axis=1)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body
