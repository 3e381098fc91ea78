"""NumPy files (.npy, .npz): one array per file, [H, W] or [H, W, C]; pickled objects are refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.limits import check_size
from segengine.data.files.stored import Stored, missing_pixels
from segengine.data.masks.mapping import MaskEncoding
from segengine.errors import DataError, counted

_MOST_CHANNELS = 64


def read(path: Path, content: bytes) -> Stored:
    """Decode a .npy file, or a .npz file of one array.

    Raises:
        DataError: pickled objects, several arrays, or a shape that is not an image.
    """
    buffer = io.BytesIO(content)
    if content[:2] != b"PK":
        return _picture(path, _array(path, buffer))
    with zipfile.ZipFile(buffer) as archive:
        names = archive.namelist()
        if any(name.endswith("data.pkl") for name in names):
            raise DataError(f"{path}: is a PyTorch checkpoint, not an image or mask")
        if not all(name.endswith(".npy") for name in names):
            raise DataError(f"{path}: is a zip archive, not an image or mask; unpack it")
        if len(names) != 1:
            raise DataError(
                f"{path}: holds {counted(len(names), 'array')}; a .npz file of an image or mask holds one array"
            )
        with archive.open(names[0]) as member:
            return _picture(path, _array(path, member))


def _array(path: Path, file: IO[bytes]) -> NDArray[Any]:
    """The array of a stream, whose declared shape is checked before its values are read."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    if dtype.kind not in "biuf":
        raise DataError(f"{path}: holds values of type {dtype}; save whole or floating-point numbers")
    if len(shape) not in (2, 3):
        raise DataError(f"{path}: has the shape {shape}; save an array H x W or H x W x C")
    check_size(path, shape[0], shape[1], (shape[2] if len(shape) == 3 else 1) * dtype.itemsize)
    count = int(np.prod(shape))
    data = file.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise DataError(f"{path}: can't be decoded (truncated); export it again or remove it")
    values = np.frombuffer(data, dtype).reshape(shape[::-1] if fortran else shape)
    return values.T if fortran else values


def _picture(path: Path, values: NDArray[Any]) -> Stored:
    notes: tuple[str, ...] = ()
    if values.ndim == 3:
        first, rows, last = values.shape
        if last <= _MOST_CHANNELS and last < min(first, rows):
            pass
        elif first <= _MOST_CHANNELS and first < min(rows, last):
            values, notes = (
                np.moveaxis(values, 0, -1),
                ("array of shape C x H x W read with the first axis as channels",),
            )
        else:
            raise DataError(f"{path}: has the shape {values.shape}, with ambiguous channels; save H x W x C")
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    if native.dtype == np.bool_:
        return Stored(np.ascontiguousarray(native.astype(np.uint8)), 1, notes=notes)
    upright = np.ascontiguousarray(native)
    return Stored(upright, 8 * native.dtype.itemsize, missing=missing_pixels(upright, None), notes=notes)


def write(raw: NDArray[Any], encoding: MaskEncoding, path: Path) -> bytes:  # noqa: ARG001 (the writers' interface)
    """Encode a mask as .npy or compressed .npz."""
    buffer = io.BytesIO()
    if path.suffix.lower() == ".npz":
        np.savez_compressed(buffer, mask=raw)
    else:
        np.save(buffer, raw, allow_pickle=False)
    return buffer.getvalue()
