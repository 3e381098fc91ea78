"""Reads rectangular windows of a TIFF file of any size, decoding only the tiles or strips that they touch."""

from __future__ import annotations

import math
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from segengine.data.files.formats import HEAD_BYTES, format_of
from segengine.data.files.limits import GIB, LIMIT_SETTING, check_size, limit_bytes
from segengine.data.files.stored import Stored
from segengine.data.files.tiff import (
    check_kind,
    check_segments,
    invalid_pixels,
    named_codecs,
    nodata_of,
    orientation_of,
    spacing_of,
    stored_image,
)
from segengine.data.files.tiff_pages import Picture, choose_picture
from segengine.errors import DataError

_TOGETHER_BYTES = 2**26  # encoded bytes read from the file at once

_TILED = (
    "convert it to a tiled TIFF (`gdal_translate -co TILED=YES -co COMPRESS=DEFLATE`, or tifffile with tile=(512, 512))"
)


class WindowedImage:
    """A TIFF image (striped or tiled, also BigTIFF) that is read by windows; the size limit of images doesn't apply to it.

    `height`, `width`: of the upright image. `channels`: as in the file, with transparency. `dtype`: of the values that
    `read` returns. `block`: (rows, columns) of a stored tile or strip; windows aligned to it decode least. A read takes
    the memory of its window and of one tile or strip per thread; uncompressed files are mapped, so that only the window is read.
    Threads may read at once. The file stays open until `close`, or the end of a `with` block.

    Raises:
        DataError: the file is missing, not a TIFF, corrupt or truncated; holds several images; has a colour space other
            than gray and RGB; a compression without installed decoder; or tiles or strips above the size limit.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _named(path):
            self._file = tifffile.TiffFile(_checked(path))
        try:
            with _named(path):
                self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        path = self.path
        picture = choose_picture(path, self._file)
        page = picture.page
        check_kind(path, page)
        for part in picture.pages:
            check_segments(path, part, self._file.filehandle.size)
        self._picture, self._turn = picture, orientation_of(page)
        self._nodata, self._spacing = nodata_of(self._file, page), spacing_of(self._file, page)
        height, width, self.channels = picture.shape
        self._values = _values_of(path, picture)
        self._validity = None if picture.mask is None else _page_of(path, picture.mask)
        block = self._values.block
        if self._turn in (5, 6, 7, 8):
            height, width, block = width, height, block[::-1]
        self.height, self.width, self.block = height, width, block
        self.dtype: np.dtype[Any] = self.stored(0, 1, 0, 1).values.dtype

    def read(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[Any]:
        """The stored values of rows y0..y1-1 and columns x0..x1-1, equal to `decode(path).values[y0:y1, x0:x1]`.

        Returns:
            [y1 - y0, x1 - x0] for one channel, else [y1 - y0, x1 - x0, channels], in the file's own dtype.

        Raises:
            ValueError: an empty window, or one that is not inside the image.
            DataError: a tile or strip that can't be decoded.
        """
        return self.stored(y0, y1, x0, x1).values

    def stored(self, y0: int, y1: int, x0: int, x1: int) -> Stored:
        """The window as a reader's result: with palette, transparency, missing pixels and notes, ready for `to_picture`."""
        if not (0 <= y0 < y1 <= self.height and 0 <= x0 < x1 <= self.width):
            raise ValueError(f"rows {y0}:{y1}, columns {x0}:{x1} of an image of {self.height} x {self.width} pixels")
        rows, columns = (y0, y1), (x0, x1)
        if self._turn in (3, 4, 7, 8):
            rows = self.height - y1, self.height - y0
        if self._turn in (2, 3, 6, 7):
            columns = self.width - x1, self.width - x0
        if self._turn in (5, 6, 7, 8):
            rows, columns = columns, rows
        with _named(self.path), named_codecs(self.path, self._picture.page):
            values = self._picture.arranged(self._values.window(rows, columns))
            validity = None if self._validity is None else self._validity.window(rows, columns)
            validity = None if validity is None else validity.reshape(values.shape[:2])
            missing = invalid_pixels(values, self._nodata, validity)
        return stored_image(self._picture, values, self._nodata, missing, self._spacing)

    def close(self) -> None:
        """Close the file; reading afterwards raises."""
        self._file.close()

    def __enter__(self) -> WindowedImage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


Range = tuple[int, int]


class _Mapped:
    """Values stored without compression, one after the other."""

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], axes: str, offset: int) -> None:
        self._array = np.memmap(path, dtype, "r", offset, shape)
        self._axes = axes
        self.block = (1, shape[axes.index("X")])

    def window(self, rows: Range, columns: Range) -> NDArray[Any]:
        """The values of a window, in the order of the axes and the machine's byte order."""
        ranges = {"Y": slice(*rows), "X": slice(*columns)}
        part = self._array[tuple(ranges.get(axis, slice(None)) for axis in self._axes)]
        return np.array(part, part.dtype.newbyteorder("="))


class _Segments:
    """Values stored in tiles or strips of one or several pages; the pages are the channels."""

    def __init__(self, path: Path, pages: tuple[tifffile.TiffPage, ...], shape: tuple[int, ...], axes: str) -> None:
        page = pages[0]
        rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
        self.block = min(rows, page.imagelength), columns
        self._contig = page.samplesperpixel if page.planarconfig == 1 else 1
        self._check_block(path, page)
        self._pages, self._shape, self._axes = pages, shape, axes
        self._lock = threading.RLock()
        for part in pages:
            part.keyframe.init_decode()  # imports the codec here, and not in the first thread that reads

    def _check_block(self, path: Path, page: tifffile.TiffPage) -> None:
        kind, (rows, columns) = "tiles" if page.is_tiled else "strips", self.block
        needed = rows * columns * self._contig * page.dtype.itemsize
        if needed > limit_bytes():
            raise DataError(
                f"{path}: is stored in {kind} of {rows} rows and {columns} columns, {needed / GIB:.3g} GiB decoded, above the "
                f"limit of {limit_bytes() / GIB:.3g} GiB; {_TILED}, or raise the limit with the environment variable "
                f"{LIMIT_SETTING}={math.ceil(needed / GIB)}"
            )

    def window(self, rows: Range, columns: Range) -> NDArray[Any]:
        """The values of a window, in the order of the axes and the machine's byte order."""
        size = {"Y": rows[1] - rows[0], "X": columns[1] - columns[0]}
        parts = np.stack([self._of_page(page, rows, columns) for page in self._pages])
        return parts.reshape([size.get(axis, n) for axis, n in zip(self._axes, self._shape, strict=True)])

    def _of_page(self, page: tifffile.TiffPage, rows: Range, columns: Range) -> NDArray[Any]:
        """[planes, rows, columns, samples]."""
        planes = page.samplesperpixel // self._contig
        result = np.zeros((planes, rows[1] - rows[0], columns[1] - columns[0], self._contig), page.keyframe.dtype)
        decoding = {"jpegtables": page.jpegtables, "jpegheader": page.keyframe.jpegheader} if _is_jpeg(page) else {}
        touched = self._touched(page, planes, rows, columns)
        segments = page.parent.filehandle.read_segments(
            [page.dataoffsets[i] for i in touched],
            [page.databytecounts[i] for i in touched],
            touched,
            lock=self._lock,
            buffersize=_TOGETHER_BYTES,
        )
        for data, index in segments:
            values, (plane, _, top, left, _), (_, length, width, _) = page.keyframe.decode(
                data, index, _fullsize=False, **decoding
            )
            above, below = max(rows[0], top), min(rows[1], top + length, page.imagelength)
            first, last = max(columns[0], left), min(columns[1], left + width, page.imagewidth)
            target = result[plane, above - rows[0] : below - rows[0], first - columns[0] : last - columns[0]]
            target[...] = values[0, above - top : below - top, first - left : last - left]
        return result

    def _touched(self, page: tifffile.TiffPage, planes: int, rows: Range, columns: Range) -> list[int]:
        """Indices of the tiles or strips that intersect a window, plane by plane."""
        length, width = self.block
        down, across = math.ceil(page.imagelength / length), math.ceil(page.imagewidth / width)
        return [
            (plane * down + row) * across + column
            for plane in range(planes)
            for row in range(rows[0] // length, (rows[1] - 1) // length + 1)
            for column in range(columns[0] // width, (columns[1] - 1) // width + 1)
        ]


class _Whole:
    """Values that can't be read by windows (rows in separate pages): decoded at once, up to the size limit."""

    def __init__(self, path: Path, picture: Picture) -> None:
        height, width, channels = picture.shape
        check_size(path, height, width, channels * picture.page.dtype.itemsize)
        self._values = np.asarray(picture.page.asarray() if picture.series is None else picture.series.asarray())
        self._axes = picture.axes
        self.block = height, width

    def window(self, rows: Range, columns: Range) -> NDArray[Any]:
        """The values of a window, in the order of the axes."""
        ranges = {"Y": slice(*rows), "X": slice(*columns)}
        return self._values[tuple(ranges.get(axis, slice(None)) for axis in self._axes)]


def _values_of(path: Path, picture: Picture) -> _Mapped | _Segments | _Whole:
    series, page = picture.series, picture.page
    if series is None:
        return _page_of(path, page, picture.axes)
    shape = tuple(series.shape)
    if series.dataoffset is not None:
        dtype = page.dtype.newbyteorder(page.parent.byteorder)
        return _Mapped(path, dtype, shape, picture.axes, series.dataoffset)
    pages_first = shape[len(shape) - len(page.shape) :] == tuple(page.shape) and picture.axes.endswith(str(page.axes))
    if pages_first and page.imagedepth == 1:
        return _Segments(path, picture.pages, shape, picture.axes)
    return _Whole(path, picture)


def _page_of(path: Path, page: tifffile.TiffPage, axes: str | None = None) -> _Mapped | _Segments:
    axes = str(page.axes) if axes is None else axes
    if page.is_memmappable:
        dtype = page.dtype.newbyteorder(page.parent.byteorder)
        return _Mapped(path, dtype, tuple(page.shape), axes, page.dataoffsets[0])
    return _Segments(path, (page,), tuple(page.shape), axes)


def _is_jpeg(page: tifffile.TiffPage) -> bool:
    return int(page.compression) in (6, 7, 34892, 33007)


def _checked(path: Path) -> Path:
    """The path of a regular TIFF file."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(f"{path}: is not a regular file; give the path of an image file")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise DataError(f"{path}: the file is empty; export it again or remove it")
    if (found := format_of(path, head).name) != "TIFF":
        raise DataError(f"{path}: is a {found} file, which can't be read by windows; {_TILED}")
    return path


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turns any error of the file or its decoder into a DataError that names the file."""
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path}: can't be decoded: there is not enough memory; read smaller windows") from error
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        remedy = "restore it and run the same command again" if gone else "check the path and its permissions"
        raise DataError(f"{path}: can't be read: {error.strerror or error}; {remedy}") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"{path}: can't be decoded ({reason}); export it again or remove it") from error
