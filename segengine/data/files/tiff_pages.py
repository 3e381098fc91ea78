"""Selects the page of a TIFF that holds the image, and identifies its channel axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from segengine.errors import DataError

_MOST_NAMED_CHANNELS = 64  # OME, LSM and others name the axis of channels
_MOST_IMAGEJ_CHANNELS = 7  # ImageJ shows at most 7; tifffile also labels the pages of a plain stack as channels
_MOST_PAGES = 100_000
_MOST_LAST = 16  # tifffile saves an unlabelled array H x W x C as H pages of W x C


@dataclass(frozen=True)
class Picture:
    """The image of a file: `page` has its tags, `pages` its pixels, `mask` its validity mask (0: no measurement).

    `shape`: height, width, channels. `axes` and `series` describe an image stored in several pages; `series` is None for
    an image in one page.
    """

    page: tifffile.TiffPage
    pages: tuple[tifffile.TiffPage, ...]
    axes: str
    series: tifffile.TiffPageSeries | None
    mask: tifffile.TiffPage | None
    shape: tuple[int, int, int]
    notes: tuple[str, ...] = ()

    def values(self) -> NDArray[Any]:
        """The stored values, [H, W] or [H, W, C]."""
        return self.arranged(np.asarray(self.page.asarray() if self.series is None else self.series.asarray()))

    def arranged(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values in the order of `axes` as [H, W] or [H, W, C]."""
        axes = self.axes
        for axis in reversed(range(values.ndim)):
            if values.shape[axis] == 1 and axes[axis] not in "YX":
                values, axes = values.squeeze(axis), axes[:axis] + axes[axis + 1 :]
        order = [axes.index("Y"), axes.index("X"), *(i for i, axis in enumerate(axes) if axis not in "YX")]
        return values.transpose(order)


def choose_picture(path: Path, tiff: tifffile.TiffFile) -> Picture:
    """The single image of a file, ignoring thumbnails, overviews and validity masks.

    Raises:
        DataError: no image, or several; names the pages.
    """
    pages = _chain(path, tiff.pages)
    full = [page for page in pages if not _is_reduced(page) and not _is_mask(page)]
    notes: tuple[str, ...] = ()
    if not full:
        inner = [sub for page in pages for sub in _chain(path, page.pages or ())]
        full = [page for page in inner if not _is_reduced(page) and not _is_mask(page)]
    if not full:
        raise DataError(f"{path}: holds {'only thumbnails' if pages else 'no image'}; export it again")
    if pages and _is_reduced(pages[0]):
        notes = ("a thumbnail before the image is ignored",)
    page = full[0]
    masks = [m for m in pages if _is_mask(m) and not _is_reduced(m) and m.shape[:2] == page.shape[-2:]] or [
        m for m in pages if _is_mask(m) and not _is_reduced(m) and m.shape[:2] == (page.imagelength, page.imagewidth)
    ]
    mask = masks[0] if masks else None
    series = _series_of(tiff, page)
    if len(full) == 1 and (series is None or _squeezed(series.shape) == _squeezed(page.shape)):
        axes = _page_axes(path, page)
        return Picture(page, (page,), axes, None, mask, _size(page.shape, axes), notes)
    if series is None or not _covers(series, full):
        raise _several(path, full)
    axes = _channel_axes(path, tiff, series, len(full))
    return Picture(page, tuple(full), axes, series, mask, _size(series.shape, axes), notes)


def all_pages(path: Path, tiff: tifffile.TiffFile) -> list[Picture]:
    """Every page as a separate image. Raises DataError if one page holds several slices."""
    pages = _chain(path, tiff.pages)
    full = [page for page in pages if not _is_reduced(page) and not _is_mask(page)]
    held = sum(math.prod(series.shape) for series in tiff.series)
    if held > sum(math.prod(page.shape) for page in pages):
        raise DataError(f"{path}: holds several slices in one page; save each slice as a separate page or file")
    return [
        Picture(page, (page,), axes, None, None, _size(page.shape, axes))
        for page in full
        for axes in (_page_axes(path, page),)
    ]


def _size(shape: Sequence[int], axes: str) -> tuple[int, int, int]:
    """Height, width and channels."""
    channels = math.prod(n for n, axis in zip(shape, axes, strict=True) if axis not in "YX")
    return shape[axes.index("Y")], shape[axes.index("X")], channels


def _chain(path: Path, pages: Iterable[Any]) -> list[tifffile.TiffPage]:
    """The linked list of a file's pages, which can be circular in a corrupt file."""
    found: dict[int, tifffile.TiffPage] = {}
    for page in pages:
        if page.offset in found or len(found) >= _MOST_PAGES:
            raise DataError(f"{path}: can't be decoded (its list of pages never ends); export it again or remove it")
        if isinstance(page, tifffile.TiffPage):
            found[page.offset] = page
    return list(found.values())


def _page_axes(path: Path, page: tifffile.TiffPage) -> str:
    axes = str(page.axes)
    if "Y" not in axes or "X" not in axes or sum(n > 1 for n in page.shape) > 3 or page.imagedepth > 1:
        raise DataError(f"{path}: is a stack of {subject(page.shape, axes)}; save one slice per file")
    return axes


def _channel_axes(path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, pages: int) -> str:
    """The axes of a series that is one image, with Y for rows and X for columns.

    Raises:
        DataError: slices, frames, or pages that are not declared as channels.
    """
    axes, shape = str(series.axes), tuple(series.shape)
    other = {axis: n for axis, n in zip(axes, shape, strict=True) if axis not in "YX" and n > 1}
    if series.kind == "shaped" and len(_squeezed(shape)) == 3 and len(shape) == 3 and axes[1:] == "YX":
        height, width, last = shape
        if last <= _MOST_LAST and 2 * last < min(height, width):
            return "YXS"
    most = _MOST_IMAGEJ_CHANNELS if tiff.is_imagej else _MOST_NAMED_CHANNELS
    if set(other) <= {"S"} or (set(other) == {"C"} and other["C"] <= most):
        return axes
    many = math.prod(n for axis, n in other.items() if axis != "S")
    raise DataError(
        f"{path}: is a stack of {subject(shape, axes)}: {max(many, pages)} pages; save one image per file, or set "
        "data.source.pages: all, which reads each page as a separate image (if the pages are bands of one image, save "
        "them as one page, with tifffile planarconfig='separate' or 'contig' and photometric='minisblack')"
    )


def _several(path: Path, pages: Sequence[tifffile.TiffPage]) -> DataError:
    sizes = list(dict.fromkeys(f"{page.imagewidth}x{page.imagelength}" for page in pages))
    shown = ", ".join(sizes[:4]) + (" ..." if len(sizes) > 4 else "")
    return DataError(
        f"{path}: holds {len(pages)} pages ({shown} pixels); save one image per file, or set data.source.pages: all"
    )


def _series_of(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> tifffile.TiffPageSeries | None:
    for series in tiff.series:
        if any(part is not None and getattr(part, "offset", None) == page.offset for part in series.pages[:1]):
            return series
    return None


def _covers(series: tifffile.TiffPageSeries, full: Sequence[tifffile.TiffPage]) -> bool:
    offsets = {getattr(part, "offset", None) for part in series.pages}
    return all(page.offset in offsets for page in full)


def _is_reduced(page: tifffile.TiffPage) -> bool:
    return bool(int(page.subfiletype) & 1)


def _is_mask(page: tifffile.TiffPage) -> bool:
    return bool(int(page.subfiletype) & 4) or int(page.photometric) == 4


def _squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(n for n in shape if n > 1)


def subject(shape: Sequence[int], axes: str) -> str:
    """`30x64x64 (QYX)`."""
    return f"{'x'.join(map(str, shape))} ({axes})"
