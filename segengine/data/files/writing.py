"""Writes masks in the encoding of the user's masks; lossless and atomic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from segengine.data.files.formats import writer_of
from segengine.data.masks.mapping import MaskEncoding
from segengine.errors import DataError
from segengine.files import write_bytes


def write_mask(path: Path, raw: NDArray[Any], encoding: MaskEncoding) -> None:
    """Write raw mask values with the encoding's bits and palette; `read_mask` returns the same values.

    Args:
        path: ends in the suffix of a lossless format (`formats.LOSSLESS_SUFFIXES`); replaced atomically.
        raw: uint8/uint16 [H, W] or uint8 [H, W, 3].
        encoding: encoding of the user's masks.

    Raises:
        DataError: a suffix that would lose values, or values that the encoding can't hold.
    """
    write_bytes(path, mask_bytes(path, raw, encoding))


def mask_bytes(path: Path, raw: NDArray[Any], encoding: MaskEncoding) -> bytes:
    """The content of the mask file `path`; arguments and errors as in `write_mask`."""
    encode = writer_of(path)
    most = 65535 if encoding.bits == 16 else 2**encoding.bits - 1
    if raw.ndim == 2 and raw.size and int(raw.max()) > most:
        raise DataError(f"{path}: value {int(raw.max())} doesn't fit the masks' {encoding.bits} bits (at most {most})")
    return encode(raw, encoding, path)
