"""DICOM images through pydicom: values in modality units, sizes checked before pixels are decoded."""

from __future__ import annotations

import io
import logging
import math
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

from segengine.data.files.limits import check_size
from segengine.data.files.stored import Stored
from segengine.errors import DataError

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE  # values that break the standard are common
logging.getLogger("pydicom").addHandler(logging.NullHandler())  # otherwise its warnings go to stderr

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LOSSLESS_JPEG = {"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"}
_JPEG_LS = {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"}
_LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"}
_CODESTREAM = re.compile(rb"\xff\x4f\xff\x51..(.{34})", re.DOTALL)  # JPEG 2000: SOC, SIZ
_JPEG_FRAME = re.compile(rb"\xff[\xc0-\xc3]\x00.(.{5})", re.DOTALL)  # JPEG: SOF0..3 with a header below 256 bytes
_quiet = threading.Lock()  # `catch_warnings` changes the state of all threads


def read(path: Path, content: bytes) -> Stored:
    """Decode a file of one frame. Raises DataError for several frames, and as `read_pages`."""
    data = dataset(path, content)
    frames = _frames(data)
    if frames > 1 and data.get("SOPClassUID") != SEGMENTATION:
        raise DataError(
            f"{path}: holds {frames} frames; set data.source.pages: all, which reads each frame as a separate image"
        )
    return _stored(path, data)[0]


def read_pages(path: Path, content: bytes) -> list[Stored]:
    """Each frame of a file as an image: rescaled to modality units, MONOCHROME1 inverted, padding pixels missing.

    Raises:
        DataError: no pixel data, a segmentation object, compression without a decoder, or a size above the limit.
    """
    return _stored(path, dataset(path, content))


def dataset(path: Path, content: bytes, *, pixels: bool = True) -> Any:
    """A file's data elements, `pixels` with the encoded pixels.

    Raises:
        DataError: not a DICOM file, or one that is deflated as a whole.
    """
    if _DEFLATED in content[:1024]:
        raise DataError(f"{path}: is deflated as a whole; decompress it, for example with DCMTK's dcmconv +te")
    with quiet():
        data = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=not pixels, force=True)
    if "SOPClassUID" not in data and "Rows" not in data:
        raise DataError(f"{path}: can't be decoded (not a DICOM file); export it again or remove it")
    return data


@contextmanager
def quiet() -> Iterator[None]:
    """Without pydicom's warnings about values that break the standard."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decoded(path: Path, data: Any) -> NDArray[Any]:
    """Stored pixels [F, H, W] or [F, H, W, 3], before any rescaling.

    Raises:
        DataError: no pixel data, or no decoder for its compression.
    """
    if not any(tag in data for tag in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise DataError(f"{path}: holds no pixel data (a report, plan or structure set?); leave it out")
    rows, columns, samples, bits = (
        int(data.get(name, usual)) for name, usual in (("Rows", 0), ("Columns", 0), ("SamplesPerPixel", 1), ("BitsAllocated", 16))
    )  # fmt: skip
    frames = _frames(data)
    check_size(path, rows, columns, frames * samples * max(1, bits / 8))
    syntax = data.file_meta.TransferSyntaxUID if "TransferSyntaxUID" in getattr(data, "file_meta", {}) else None
    with quiet():
        if syntax is None:
            data.file_meta = getattr(data, "file_meta", None) or pydicom.dataset.FileMetaDataset()
            data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        elif syntax.is_compressed:
            _check_declared(path, data.PixelData, rows, columns)
            if syntax in _LOSSLESS_JPEG | _JPEG_LS:
                return _by_imagecodecs(data, syntax, (frames, rows, columns, samples))
        try:
            values = np.asarray(pixel_array(data))
        except (RuntimeError, NotImplementedError) as error:
            name = syntax.name if syntax is not None else "an unknown transfer syntax"
            if "openjpeg" in str(error):
                raise DataError(f"{path}: is compressed with {name}: pip install 'segengine[medical]'") from error
            raise DataError(
                f"{path}: can't be decoded ({name}: {' '.join(str(error).split())[:120]}); decompress it, for example with "
                "gdcmconv --raw"
            ) from error
    shape = (frames, rows, columns, samples) if samples > 1 else (frames, rows, columns)
    return values.reshape(shape)


def _by_imagecodecs(data: Any, syntax: str, shape: tuple[int, int, int, int]) -> NDArray[Any]:
    """Lossless JPEG and JPEG-LS, for which pydicom has no decoder under a permissive licence."""
    import imagecodecs

    decode = imagecodecs.jpegls_decode if syntax in _JPEG_LS else imagecodecs.ljpeg_decode
    planes = [decode(frame) for frame in generate_frames(data.PixelData, number_of_frames=shape[0])]
    values = np.stack(planes).reshape(shape if shape[3] > 1 else shape[:3])
    if int(data.get("PixelRepresentation", 0)) == 1:
        unused = 8 * values.dtype.itemsize - int(data.BitsStored)
        signed = values.view(np.dtype(f"i{values.dtype.itemsize}"))
        values = (signed << unused) >> unused
    return np.asarray(values)


def _check_declared(path: Path, encoded: bytes, rows: int, columns: int) -> None:
    """Refuse compressed frames that declare more pixels than the file's header."""
    for match in _CODESTREAM.finditer(encoded):
        x, y, left, top = struct.unpack(">4I", match[1][2:18])
        _check_frame(path, y - top, x - left, rows, columns)
    for match in _JPEG_FRAME.finditer(encoded[:4096]):
        height, width = struct.unpack(">2H", match[1][1:5])
        _check_frame(path, height, width, rows, columns)


def _check_frame(path: Path, height: int, width: int, rows: int, columns: int) -> None:
    if height > rows or width > columns:
        raise DataError(
            f"{path}: can't be decoded (its compressed frame declares {width} x {height} pixels and its header {columns} x "
            f"{rows}); export it again or remove it"
        )


def _stored(path: Path, data: Any) -> list[Stored]:
    if data.get("SOPClassUID") == SEGMENTATION:
        raise DataError(
            f"{path}: is a DICOM segmentation object, which labels a whole series; give the series' slices as "
            "images: .../{slice}.dcm and this file as its mask"
        )
    values = decoded(path, data)
    values, missing, notes = in_units(data, values)
    spacing = pixel_spacing(data)
    syntax = str(getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", ""))
    return [
        Stored(
            np.ascontiguousarray(plane),
            8 * values.dtype.itemsize,
            lossy=syntax in _LOSSY,
            missing=None if missing is None or not missing[i].any() else missing[i],
            spacing=spacing,
            notes=notes,
            millimetres=True,
        )
        for i, plane in enumerate(values)
    ]


def in_units(data: Any, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None, tuple[str, ...]]:
    """Stored pixels in modality units (HU in CT): values, missing pixels, notes.

    A slope and intercept that are whole numbers give int16 or int32, others float32; the type depends on the header only.
    """
    photometric = str(data.get("PhotometricInterpretation", "MONOCHROME2"))
    if photometric == "PALETTE COLOR":
        with quiet():
            colours = np.asarray(apply_color_lut(values, data))
        return (colours >> 8 if colours.dtype == np.uint16 else colours).astype(np.uint8), None, ()
    if values.ndim == 4:
        return values, None, ()
    missing = _padding(data, values)
    notes: tuple[str, ...] = ()
    bits, signed = int(data.get("BitsStored", 16)), bool(int(data.get("PixelRepresentation", 0)))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if "ModalityLUTSequence" in data and len(data.ModalityLUTSequence):
        with quiet():
            values = np.asarray(apply_modality_lut(values, data), np.float32)
        low, high = float(values.min()), float(values.max())
    else:
        slope, intercept = _rescale(data)
        values = _rescaled(values, slope, intercept, low, high)
        low, high = sorted((low * slope + intercept, high * slope + intercept))
    if np.issubdtype(values.dtype, np.floating):
        infinite = ~np.isfinite(values)
        missing = infinite if missing is None else missing | infinite
    if photometric == "MONOCHROME1":
        values = (low + high - values.astype(np.float64)).astype(values.dtype)
        notes = ("MONOCHROME1 (the smallest value is white) is inverted",)
    return values, missing if missing is not None and missing.any() else None, notes


def _rescale(data: Any) -> tuple[float, float]:
    """Slope and intercept of the file, or of the first frame of an enhanced object."""
    place = data
    if "RescaleSlope" not in data:
        place = functional_group(data, 0, "PixelValueTransformationSequence") or data
    slope, intercept = float(place.get("RescaleSlope", 1) or 1), float(place.get("RescaleIntercept", 0) or 0)
    usable = math.isfinite(slope) and math.isfinite(intercept) and slope != 0
    return (slope, intercept) if usable else (1.0, 0.0)


def _rescaled(values: NDArray[Any], slope: float, intercept: float, low: float, high: float) -> NDArray[Any]:
    if (slope, intercept) == (1.0, 0.0):
        return values if values.dtype.itemsize <= 4 else values.astype(np.float32)
    whole = slope.is_integer() and intercept.is_integer() and values.dtype.kind in "iu"
    ends = sorted((low * slope + intercept, high * slope + intercept))
    if not whole or ends[0] < -(2**31) or ends[1] >= 2**31:
        return (values.astype(np.float64) * slope + intercept).astype(np.float32)
    narrow = ends[0] >= -(2**15) and ends[1] < 2**15
    return (values.astype(np.int64) * int(slope) + int(intercept)).astype(np.int16 if narrow else np.int32)


def _padding(data: Any, values: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Pixels with the declared padding value, or in the padding range."""
    padding = data.get("PixelPaddingValue")
    if not isinstance(padding, int):
        return None
    limit = data.get("PixelPaddingRangeLimit")
    low, high = sorted((padding, limit if isinstance(limit, int) else padding))
    return np.asarray((values >= low) & (values <= high))


def functional_group(data: Any, frame: int, name: str) -> Any:
    """An item of a frame's own or the shared functional groups; None if neither has it."""
    groups = data.get("PerFrameFunctionalGroupsSequence") or ()
    shared = data.get("SharedFunctionalGroupsSequence") or ()
    for group in (*groups[frame : frame + 1], *shared[:1]):
        items = group.get(name)
        if items:
            return items[0]
    return None


def pixel_spacing(data: Any) -> tuple[float, float] | None:
    """(row, column) distance of pixels in millimetres; at the detector for projections; None if not declared."""
    measures = functional_group(data, 0, "PixelMeasuresSequence")
    for place, name in ((data, "PixelSpacing"), (measures, "PixelSpacing"), (data, "ImagerPixelSpacing")):
        found = None if place is None else place.get(name)
        if found is not None and len(found) == 2 and all(math.isfinite(n) and n > 0 for n in map(float, found)):
            return float(found[0]), float(found[1])
    return None


def declared_window(data: Any) -> tuple[float, float] | None:
    """(low, high) of the first declared window for display, in modality units."""
    centre, width = (data.get(name) for name in ("WindowCenter", "WindowWidth"))
    try:
        centre, width = (float(n[0] if isinstance(n, pydicom.multival.MultiValue) else n) for n in (centre, width))
    except (TypeError, ValueError, IndexError):
        return None
    usable = math.isfinite(centre) and math.isfinite(width) and width > 1
    return (centre - width / 2, centre + width / 2) if usable else None


def _frames(data: Any) -> int:
    return max(1, int(data.get("NumberOfFrames", 1) or 1))
