"""TIFF through tifffile: one image per file, all bands, values as stored."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from segengine.data.files.limits import check_size
from segengine.data.files.pictures import saved, to_pillow
from segengine.data.files.stored import Stored, missing_pixels, upright
from segengine.data.files.tiff_pages import Picture, all_pages, choose_picture
from segengine.data.masks.mapping import MaskEncoding
from segengine.errors import DataError

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # otherwise its warnings about tags go to stderr

CODECS_COMMAND = "pip install imagecodecs"
_MIN_IS_WHITE, _PALETTE, _SEPARATED, _YCBCR = 0, 3, 5, 6
_KNOWN_PHOTOMETRIC = {0, 1, 2, 3, 4, 5, 6}
_JPEG = {6, 7, 34892, 33007}
_ORIENTATION, _PIXEL_SCALE, _NODATA, _X_RESOLUTION, _Y_RESOLUTION = 274, 33550, 42113, 282, 283


def read(path: Path, content: bytes) -> Stored:
    """Decode the image of a TIFF file: shape and values as in tifffile, channels last.

    Raises:
        DataError: several pages, missing or truncated strips, a colour space other than gray and RGB, a
            compression whose decoder isn't installed, or a size above the limit.
    """
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        picture = choose_picture(path, tiff)
        page = picture.page
        check_kind(path, page)
        for part in picture.pages:
            check_segments(path, part, len(content))
        height, width, channels = picture.shape
        check_size(path, height, width, channels * page.dtype.itemsize)
        values = _decoded(path, picture)
        nodata = nodata_of(tiff, page)
        validity = None if picture.mask is None else np.asarray(picture.mask.asarray())
        missing = invalid_pixels(values, nodata, validity)
        return stored_image(picture, values, nodata, missing, spacing_of(tiff, page))


def read_pages(path: Path, content: bytes) -> list[Stored]:
    """Each page of a TIFF as a separate image, without thumbnails and validity masks.

    Raises:
        DataError: as `read`, for any page.
    """
    found = []
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        for picture in all_pages(path, tiff):
            check_kind(path, picture.page)
            check_segments(path, picture.page, len(content))
            height, width, channels = picture.shape
            check_size(path, height, width, channels * picture.page.dtype.itemsize)
            values = _decoded(path, picture)
            nodata, spacing = nodata_of(tiff, picture.page), spacing_of(tiff, picture.page)
            found.append(stored_image(picture, values, nodata, invalid_pixels(values, nodata, None), spacing))
    if not found:
        raise DataError(f"{path}: can't be decoded (holds no pages); export it again or remove it")
    return found


def _decoded(path: Path, picture: Picture) -> NDArray[Any]:
    with named_codecs(path, picture.page):
        return picture.values()


@contextmanager
def named_codecs(path: Path, page: tifffile.TiffPage) -> Iterator[None]:
    """Turns tifffile's error for a missing decoder into a DataError that names the compression and the package."""
    try:
        yield
    except Exception as error:
        if "imagecodecs" in str(error):
            compression = getattr(page.compression, "name", page.compression)
            raise DataError(
                f"{path}: is compressed with {compression}, which needs imagecodecs; install it with `{CODECS_COMMAND}`"
            ) from error
        raise


def stored_image(
    picture: Picture,
    values: NDArray[Any],
    nodata: float | None,
    missing: NDArray[np.bool_] | None,
    spacing: tuple[float, float] | None,
) -> Stored:
    """Decoded values [H, W] or [H, W, C] of an image, or of a window of it, with what its tags say about them, upright."""
    page, notes = picture.page, list(picture.notes)
    photometric = int(page.photometric)
    bits = 8 * values.dtype.itemsize
    if values.dtype == np.bool_:
        values, bits = values.astype(np.uint8), 1
    elif values.dtype == np.uint8 and int(page.bitspersample) < 8:
        bits = int(page.bitspersample)
    if photometric == _MIN_IS_WHITE:
        notes.append("the file declares MinIsWhite; the stored values are used without inversion")
    if values.dtype == np.int8:
        notes.append("the 8-bit values are signed (int8): -128 to 127")
    if photometric == _SEPARATED:
        notes.append("CMYK inks are read as bands, without conversion")
    palette = None
    if photometric == _PALETTE and values.ndim == 2:
        palette = _colours(page) if values.dtype == np.uint8 else None
        if palette is None:
            notes.append(f"the colours of the {bits}-bit palette are not used; the indices are read as values")
    extra = tuple(int(kind) for kind in page.extrasamples)
    alpha = bool(extra) and extra[-1] in (1, 2) and values.ndim == 3 and values.shape[2] == page.samplesperpixel
    turn = orientation_of(page)
    return Stored(
        upright(values, turn),
        bits,
        palette,
        alpha,
        int(page.compression) in _JPEG,
        nodata,
        None if missing is None else upright(missing, turn),
        spacing[::-1] if spacing is not None and turn >= 5 else spacing,
        tuple(notes),
    )


def orientation_of(page: tifffile.TiffPage) -> int:
    """The orientation tag, 1 (upright) where there is none."""
    tag = page.tags.get(_ORIENTATION)
    return int(tag.value) if tag is not None else 1


def check_kind(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse colour spaces other than gray and RGB, and complex numbers."""
    photometric, compression = int(page.photometric), int(page.compression)
    if photometric not in _KNOWN_PHOTOMETRIC or (photometric == _YCBCR and compression not in _JPEG):
        name = getattr(page.photometric, "name", photometric)
        raise DataError(f"{path}: is stored in the colour space {name}; convert it to gray or RGB")
    if page.dtype is None or page.dtype.kind not in "biuf":
        kind = "an unknown type" if page.dtype is None else str(page.dtype)
        raise DataError(f"{path}: holds values of {kind}; save whole or floating-point numbers")


def check_segments(path: Path, page: tifffile.TiffPage, size: int) -> None:
    """Refuse a page with missing or truncated strips or tiles, which tifffile would fill with zeros."""
    expected = math.prod(page.chunked)
    kind = "tiles" if page.is_tiled else "strips"
    offsets, counts = page.dataoffsets, page.databytecounts
    if expected * math.prod(page.chunks) < math.prod(page.shape):  # tifffile would leave the rest uninitialized
        raise DataError(f"{path}: can't be decoded (its {kind} don't cover the image); export it again or remove it")
    missing = expected - sum(1 for offset, count in zip(offsets, counts, strict=False) if offset > 0 and count > 0)
    if missing > 0:
        raise DataError(
            f"{path}: {missing} of its {expected} {kind} are missing; export it again (GDAL: with SPARSE_OK=FALSE)"
        )
    beyond = sum(1 for offset, count in zip(offsets, counts, strict=False) if offset + count > size)
    if beyond:
        raise DataError(
            f"{path}: can't be decoded (truncated: {beyond} of its {expected} {kind}); export it again or remove it"
        )


def _colours(page: tifffile.TiffPage) -> tuple[tuple[int, int, int], ...] | None:
    """The palette as 8-bit colours; the tag holds 16-bit values, but some programs write 8-bit ones."""
    table = page.colormap
    if table is None:
        return None
    table = np.asarray(table)
    eight = table >> 8 if table.size and table.max() > 255 else table
    return tuple((int(r), int(g), int(b)) for r, g, b in eight.T)


def nodata_of(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> float | None:
    """The value of GDAL's tag for pixels without measurement, of the first page where this one has none; else None."""
    tag = page.tags.get(_NODATA) or tiff.pages.first.tags.get(_NODATA)
    try:
        return None if tag is None else float(str(tag.value).strip("\0 "))
    except ValueError:
        return None


def invalid_pixels(
    values: NDArray[Any], nodata: float | None, validity: NDArray[Any] | None
) -> NDArray[np.bool_] | None:
    """Pixels without a measurement, bool [H, W]; None if there are none. `validity` [H, W]: 0 outside the validity mask."""
    missing = missing_pixels(values, nodata)
    if validity is None:
        return missing
    invalid = validity == 0
    if not invalid.any():
        return missing
    return np.asarray(invalid if missing is None else missing | invalid)


def spacing_of(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[float, float] | None:
    """(row, column) pixel spacing: in map units for a GeoTIFF, in the file's unit for ImageJ."""
    scale = page.tags.get(_PIXEL_SCALE)
    if scale is not None and len(scale.value) >= 2 and scale.value[0] > 0 and scale.value[1] > 0:
        return float(scale.value[1]), float(scale.value[0])
    x, y = page.tags.get(_X_RESOLUTION), page.tags.get(_Y_RESOLUTION)
    if not tiff.is_imagej or "unit" not in (tiff.imagej_metadata or {}) or x is None or y is None:
        return None
    if 0 in (*x.value, *y.value):
        return None
    return y.value[1] / y.value[0], x.value[1] / x.value[0]


def write(raw: NDArray[Any], encoding: MaskEncoding, path: Path) -> bytes:  # noqa: ARG001 (the writers' interface)
    """Encode a mask as a TIFF with lossless compression."""
    if raw.dtype == np.uint16:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, raw, photometric="minisblack", compression="zlib")
        return buffer.getvalue()
    return saved(to_pillow(raw, encoding), "TIFF", compression="tiff_adobe_deflate")
