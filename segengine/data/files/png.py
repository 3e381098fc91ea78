"""PNG: Pillow decodes up to 8 bits and 16-bit gray, OpenCV 16-bit colour; all chunks are verified first.

Neither decoder verifies checksums of pixel data, so a flipped bit would silently change an image or mask.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segengine.data.files.limits import check_size
from segengine.data.files.pictures import ORIENTATION_TAG, read_pillow, saved, to_pillow
from segengine.data.files.stored import Stored, upright
from segengine.data.masks.mapping import MaskEncoding
from segengine.errors import DataError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: gray, RGB, palette, gray + alpha, RGB + alpha
_MOST_DEFLATED = 1032  # maximum compression ratio of deflate (zlib)


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @property
    def channels(self) -> int:
        return _CHANNELS[self.colour]

    @property
    def filtered_bytes(self) -> int:
        """Size of the uncompressed rows, each with its filter byte (PNG specification, 7.2 and 8.2)."""
        if not self.interlaced:
            return self.height * (1 + self._row(self.width))
        total = 0
        for x, y, step_x, step_y in (
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ):
            columns, rows = -(-(self.width - x) // step_x), -(-(self.height - y) // step_y)
            total += rows * (1 + self._row(columns)) if columns > 0 and rows > 0 else 0
        return total

    def _row(self, columns: int) -> int:
        return -(-columns * self.channels * self.depth // 8)


def read(path: Path, content: bytes) -> Stored:
    """Decode a PNG. Raises DataError for a corrupt chunk, a missing palette, or a size above the limit."""
    header, pixels = _checked(path, content)
    if header.depth == 16 and header.colour != 0:
        return _by_opencv(path, content, header, pixels)

    def check(values: NDArray[Any]) -> None:
        if not values[-2:].any():  # Pillow leaves rows beyond the end of the pixel data at 0
            _check_enough(path, header, pixels)

    return read_pillow(path, content, depth=header.depth, check=check)


def _checked(path: Path, content: bytes) -> tuple[_Header, list[memoryview]]:
    """The header and the compressed pixel data, after checking checksums, chunk order and declared size."""
    view, start, header, pixels, palette = memoryview(content), len(_SIGNATURE), None, [], False
    while True:
        if start + 12 > len(content):
            raise DataError(f"{path}: can't be decoded (truncated: no end chunk); export it again or remove it")
        (length,), kind = struct.unpack(">I", view[start : start + 4]), bytes(view[start + 4 : start + 8])
        stop = start + 8 + length
        if stop + 4 > len(content):
            raise DataError(
                f"{path}: can't be decoded (truncated in chunk {_name(kind)}); export it again or remove it"
            )
        if kind[:1].isupper() and zlib.crc32(view[start + 4 : stop]) != struct.unpack(">I", view[stop : stop + 4])[0]:
            raise DataError(
                f"{path}: can't be decoded (wrong checksum of chunk {_name(kind)}); export it again or remove it"
            )
        if header is None:
            header = _header(path, kind, view[start + 8 : stop])
        if kind == b"IDAT":
            pixels.append(view[start + 8 : stop])
        palette = palette or (kind == b"PLTE" and length > 0)
        start = stop + 4
        if kind == b"IEND":
            break
    if header.colour == 3 and not palette:
        raise DataError(f"{path}: is a palette PNG without a palette; export it again or remove it")
    if sum(map(len, pixels)) * _MOST_DEFLATED < header.filtered_bytes:
        raise DataError(f"{path}: can't be decoded (truncated pixel data); export it again or remove it")
    return header, pixels


def _header(path: Path, kind: bytes, body: memoryview) -> _Header:
    if kind != b"IHDR" or len(body) != 13:
        raise DataError(f"{path}: can't be decoded (no PNG header); export it again or remove it")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16):
        raise DataError(
            f"{path}: can't be decoded (colour type {colour} of {depth} bits); export it again or remove it"
        )
    header = _Header(width, height, depth, colour, bool(interlace))
    check_size(path, height, width, header.channels * (2 if depth == 16 else 1))
    return header


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "replace") if kind.isalpha() else "of unknown kind"


def _check_enough(path: Path, header: _Header, pixels: list[memoryview]) -> None:
    """Refuse pixel data that ends before the last row."""
    inflate, inflated = zlib.decompressobj(), 0
    for part in pixels:
        inflated += len(inflate.decompress(part, header.filtered_bytes - inflated + 1))
        if inflated > header.filtered_bytes:
            break
    if inflated < header.filtered_bytes:
        raise DataError(f"{path}: can't be decoded (truncated pixel data); export it again or remove it")


def _by_opencv(path: Path, content: bytes, header: _Header, pixels: list[memoryview]) -> Stored:
    """16-bit colour, which Pillow reduces to 8 bits; OpenCV accepts truncated pixel data, so it is checked first."""
    _check_enough(path, header, pixels)
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if values is None or values.dtype != np.uint16 or values.shape[:2] != (header.height, header.width):
        raise DataError(f"{path}: can't be decoded (broken 16-bit colour PNG); export it again or remove it")
    order = {2: [2, 1, 0], 4: [0, 3], 6: [2, 1, 0, 3]}[header.colour]
    if values.ndim != 3 or values.shape[2] <= max(order):
        raise DataError(f"{path}: can't be decoded (16-bit colour type {header.colour}); export it as RGB")
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    return Stored(upright(values[:, :, order], orientation), 16, alpha=header.colour in (4, 6))


def write(raw: NDArray[Any], encoding: MaskEncoding, path: Path) -> bytes:  # noqa: ARG001 (the writers' interface)
    """Encode a mask as PNG with the encoding's bits and palette."""
    if encoding.bits in (2, 4) and encoding.kind == "gray" and raw.ndim == 2:
        return _small(raw, encoding.bits)
    options = {"bits": encoding.bits} if encoding.kind == "palette" else {}
    return saved(to_pillow(raw, encoding), "PNG", **options)


def _small(raw: NDArray[Any], bits: int) -> bytes:
    """A gray PNG with 2 or 4 bits, which Pillow reads but can't write (PNG specification, section 11)."""
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
    return _SIGNATURE + body
