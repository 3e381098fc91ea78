"""NIfTI volumes through nibabel: the declared shape is checked before any voxel is decompressed."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from segengine.data.files.limits import check_size
from segengine.data.files.stored import Stored
from segengine.data.files.volumes import Volume, checked_affine, only_slice
from segengine.errors import DataError

_HEAD = 544  # bytes of the longer header, that of NIfTI-2
_MOST_CHANNELS = 16
_MOST_EXTENSIONS = 2**25  # bytes before the voxels
_GZIP = b"\x1f\x8b"
_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001}


def read(path: Path, content: bytes) -> Stored:
    """Decode a volume of one slice. Raises DataError for several slices, and as `read_volume`."""
    return only_slice(read_volume(path, content), path)


def read_volume(path: Path, content: bytes) -> Volume:
    """Decode a volume: values times scl_slope plus scl_inter, a fourth axis as channels, affine in millimetres.

    Raises:
        DataError: a truncated file, a time series, colours or complex numbers, an unusable affine, or a size above the
            limit.
    """
    header = _header(path, content)
    shape = _shape(path, header)
    dtype = header.get_data_dtype()
    if dtype.kind not in "biuf":
        raise DataError(f"{path}: holds voxels of type {dtype}; save one whole or floating-point number per voxel")
    slope, intercept = _scaling(path, header)
    scaled = (slope, intercept) != (1.0, 0.0)
    needed = max(dtype.itemsize, 4 if scaled else 0)
    check_size(path, shape[0], shape[1], math.prod(shape[2:]) * needed)
    offset = int(header["vox_offset"])
    stored = _voxels(path, content, offset, math.prod(shape) * dtype.itemsize)
    values = np.frombuffer(stored, dtype, math.prod(shape)).reshape(shape, order="F")
    with np.errstate(over="ignore", invalid="ignore"):
        values = _native(values, slope, intercept) if scaled else values.astype(_narrow(dtype), copy=False)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    notes = (f"the {values.shape[3]} volumes of a 4-D file are read as channels",) if values.ndim == 4 else ()
    return Volume(values, _affine(path, header), _not_finite(values), notes=notes)


def label_bytes(labels: NDArray[Any], affine: NDArray[np.float64], *, compressed: bool) -> bytes:
    """The file of a label map uint8 or uint16 [I, J, K] with this affine, in millimetres."""
    image = nibabel.Nifti1Image(labels, affine)
    image.header.set_xyzt_units("mm")
    content: bytes = image.to_bytes()
    return gzip.compress(content, 6, mtime=0) if compressed else content


def _header(path: Path, content: bytes) -> Any:
    head = content[:_HEAD]
    if content[:2] == _GZIP:
        try:
            head = zlib.decompressobj(31).decompress(content, _HEAD)
        except zlib.error as error:
            raise DataError(f"{path}: can't be decoded (damaged gzip data); export it again or remove it") from error
    kind = Nifti2Header if head[4:8] in (b"n+2\0", b"ni2\0") else nibabel.Nifti1Header
    if kind is nibabel.Nifti1Header and head[344:348] != b"n+1\0":
        what = "a header without voxels (.hdr/.img pair)" if head[344:348] == b"ni1\0" else "no NIfTI header"
        raise DataError(f"{path}: can't be decoded ({what}); save it as one NIfTI file (.nii.gz)")
    return kind.from_fileobj(io.BytesIO(head), check=False)


def _shape(path: Path, header: Any) -> tuple[int, ...]:
    """Voxels along three axes, and a fourth for channels."""
    shape = tuple(int(n) for n in header.get_data_shape())
    if not shape or min(shape) < 1:
        raise DataError(f"{path}: declares the shape {shape}; export it again or remove it")
    shape += (1,) * (3 - len(shape))
    channels = math.prod(shape[3:])
    if channels > _MOST_CHANNELS or sum(n > 1 for n in shape[3:]) > 1:
        raise DataError(
            f"{path}: has the shape {' x '.join(map(str, shape))}, a series of {channels} volumes; save the volumes that are "
            f"wanted as files of their own (up to {_MOST_CHANNELS} volumes are read as channels)"
        )
    return (*shape[:3], channels) if len(shape) > 3 else shape


def _scaling(path: Path, header: Any) -> tuple[float, float]:
    try:
        slope, intercept = header.get_slope_inter()
    except Exception as error:  # nibabel refuses what is not finite
        raise DataError(
            f"{path}: declares an unusable scaling of its values; correct scl_slope in its header"
        ) from error
    return 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)


def _voxels(path: Path, content: bytes, offset: int, size: int) -> bytes:
    """The stored voxels; decompresses no more than the header declares."""
    if not 0 <= offset <= _MOST_EXTENSIONS:
        raise DataError(f"{path}: can't be decoded (voxels at byte {offset}); export it again or remove it")
    try:
        if content[:2] == _GZIP:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
                file.read(offset)
                data = file.read(size)
        else:
            data = content[offset : offset + size]
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: can't be decoded (truncated); export it again or remove it") from error
    if len(data) < size:
        raise DataError(f"{path}: can't be decoded (truncated); export it again or remove it")
    return data


def _native(values: NDArray[Any], slope: float, intercept: float) -> NDArray[np.float32]:
    return np.asarray(values.astype(np.float32) * np.float32(slope) + np.float32(intercept))


def _narrow(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in the machine's byte order, booleans as uint8, other floats as float32."""
    if dtype.kind == "f" and dtype.itemsize != 4:
        return np.dtype(np.float32)
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")


def _affine(path: Path, header: Any) -> NDArray[np.float64]:
    try:
        affine = np.array(header.get_best_affine(), np.float64)
        unit = header.get_xyzt_units()[0]
    except Exception as error:
        raise DataError(f"{path}: declares an unusable voxel orientation or spacing; correct its header") from error
    affine[:3] *= _MILLIMETRES.get(unit, 1.0)
    return checked_affine(affine, path)


def _not_finite(values: NDArray[Any]) -> NDArray[np.bool_] | None:
    if not np.issubdtype(values.dtype, np.floating):
        return None
    missing = ~np.isfinite(values)
    missing = missing.any(axis=3) if missing.ndim == 4 else missing
    return missing if missing.any() else None
