"""Images and masks merged from several files, and tiles of large ones, as files in the cache folder.

A file's name is a hash of its sources and settings, so stale files are never used; the data itself is not changed.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from segengine.data.batches.cache_folder import default_folder
from segengine.data.files.decoding import Stored, decode, read_pages
from segengine.data.files.formats import stem_of
from segengine.data.files.parallel import in_threads
from segengine.data.files.reading import colours, mask_values
from segengine.data.sources.records import Record
from segengine.errors import DataError, counted
from segengine.files import write_bytes

_VERSION = "3"
_NODATA_TAG, _SCALE_TAG = 42113, 33550
Piece = tuple[str, tuple[Stored, NDArray[Any]], tuple[Stored, NDArray[Any]]]
"""Name, and image and mask, each as the file that it comes from and its own values."""


def merged_mask(parts: Sequence[Path], classes: Sequence[int]) -> Path:
    """Merge masks into one gray mask: the class of the part that is set, 0 elsewhere.

    A pixel is set if it exceeds half of the part's maximum, so that 0/1, 0/255 and anti-aliased parts are equivalent.
    Where parts overlap, the higher class wins.

    Args:
        parts: mask files of one image.
        classes: the class (1..254) of each part.

    Raises:
        DataError: a corrupt part, or parts of different sizes.
    """

    def make() -> bytes:
        merged: NDArray[np.uint8] | None = None
        for value, path in sorted(zip(classes, parts, strict=True)):
            part = _set_pixels(path)
            if merged is None:
                merged = np.zeros(part.shape, np.uint8)
            _check_size(part.shape, merged.shape, path, parts[0])
            merged[part] = value
        assert merged is not None
        return _png(Image.fromarray(merged))

    return _made("mask", parts, tuple(classes), f"{stem_of(parts[0])}.png", make)


def stacked_channels(parts: Sequence[Path]) -> Path:
    """Stack the channels of several files in the given order. Raises DataError for incompatible parts."""

    def make() -> bytes:
        planes: list[NDArray[Any]] = []
        for path in parts:
            values = colours(decode(path), path)
            if planes:
                _check_size(values.shape[:2], planes[0].shape, path, parts[0])
            planes += list(np.moveaxis(values, -1, 0))
        if len({plane.dtype for plane in planes}) > 1:
            raise DataError(f"{parts[0]}: the image's channels have different types; save all with the same bit depth")
        return _tiff(planes)

    return _made("channels", parts, (), f"{stem_of(parts[0])}.tif", make)


def tiles(image: Path, mask: Path, largest: int) -> list[tuple[str, Path, Path]]:
    """Cut an image and its mask into tiles of at most `largest` pixels per side: (name, image, mask) per tile.

    Raises:
        DataError: an image and a mask of different sizes.
    """
    return divided((image,), (mask,), ("tiles", largest), lambda: _cut(image, mask, largest))


def pages(image: Path, mask: Path) -> list[tuple[str, Path, Path]]:
    """The pages of two files, such as TIFF stacks: (name, image, mask) per page.

    Raises:
        DataError: an image and a mask with different numbers of pages.
    """
    return divided((image,), (mask,), ("pages",), lambda: _paged(image, mask))


def divided_records(
    records: Sequence[Record], divide: Callable[[Path, Path], list[tuple[str, Path, Path]]]
) -> list[Record]:
    """Records of pieces, in the order of `records`; the pieces of an image share its group.

    The pieces of a single image have groups of their own, since they must be split.
    """
    alone = len(records) == 1
    pieces = in_threads(lambda r: [] if r.mask is None else divide(r.image, r.mask), records, "files")
    return [
        Record(f"{r.id}_{name}", image, mask, f"{r.id}_{name}" if alone else r.group, r.split)
        for r, of in zip(records, pieces, strict=True)
        for name, image, mask in of
    ]


def _paged(image: Path, mask: Path) -> Iterator[Piece]:
    pictures, masks = (read_pages(path) for path in (image, mask))
    if len(pictures) != len(masks):
        raise DataError(
            f"{image}: has {counted(len(pictures), 'page')} but its mask {mask} has {len(masks)}; save both with the same number of pages"
        )
    for number, (picture, truth) in enumerate(zip(pictures, masks, strict=True), start=1):
        yield f"page{number:04d}", (picture, picture.values), (truth, truth.values)


def divided(
    images: Sequence[Path], masks: Sequence[Path], how: tuple[object, ...], cut: Callable[[], Iterable[Piece]]
) -> list[tuple[str, Path, Path]]:
    """Pieces of an image and its mask as files; written once, then found by a hash of their sources."""
    stamps = [_stamp(path) for path in (*images, *masks)]
    key = hashlib.sha256(repr((_VERSION, *how, *stamps)).encode()).hexdigest()
    folder = default_folder() / "made" / key[:2] / key[2:]
    listing, stem = folder / "pieces.txt", stem_of(images[0])
    if not listing.is_file():
        lines = []
        for name, *both in cut():
            words = [name]
            for kind, (stored, values) in zip(("image", "mask"), both, strict=True):
                content, suffix = _encoded(stored, _spread(stored, values) if kind == "image" else values)
                _write(folder / kind / f"{stem}_{name}{suffix}", content)
                words.append(suffix)
            lines.append(" ".join(words))
        _write(listing, "\n".join(lines).encode())  # written last: marks all pieces as complete
    found = [line.split() for line in listing.read_text("utf-8").splitlines()]
    return [
        (name, folder / "image" / f"{stem}_{name}{of_image}", folder / "mask" / f"{stem}_{name}{of_mask}")
        for name, of_image, of_mask in found
    ]


def _cut(image: Path, mask: Path, largest: int) -> Iterator[Piece]:
    pictures, masks = decode(image), decode(mask)
    height, width = masks.values.shape[:2]
    _check_size(masks.values.shape[:2], pictures.values.shape[:2], mask, image)
    for top, bottom in _edges(height, largest):
        for left, right in _edges(width, largest):
            part = (slice(top, bottom), slice(left, right))
            yield f"y{top:05d}x{left:05d}", (pictures, pictures.values[part]), (masks, masks.values[part])


def _edges(length: int, largest: int) -> list[tuple[int, int]]:
    cuts = np.linspace(0, length, -(-length // largest) + 1).round().astype(int).tolist()
    return list(pairwise(cuts))


def _spread(stored: Stored, values: NDArray[Any]) -> NDArray[Any]:
    """Gray values of 1 to 4 bits as the 0..255 that they are shown as, since pieces have 8 bits; other values unchanged."""
    if stored.palette is not None or stored.bits >= 8:
        return values
    return np.asarray(values * np.uint8(255 // (2**stored.bits - 1)))


def _encoded(stored: Stored, values: NDArray[Any]) -> tuple[bytes, str]:
    """Encode stored values losslessly: the file's content and suffix."""
    if stored.millimetres:
        planes = [values] if values.ndim == 2 else list(np.moveaxis(values, -1, 0))
        return _tiff(planes, spacing=stored.spacing), ".tif"
    if stored.palette is not None:
        picture = Image.fromarray(np.ascontiguousarray(values))
        picture.putpalette([part for colour in stored.palette for part in colour])
        return _png(picture), ".png"
    plain = stored.nodata is None and (values.ndim == 2 or values.shape[2] in (3, 4))
    if values.dtype == np.uint8 and stored.bits == 8 and plain and not (stored.alpha and values.shape[-1] != 4):
        return _png(Image.fromarray(np.ascontiguousarray(values))), ".png"
    if values.ndim == 2:
        return _tiff([values], stored.nodata), ".tif"
    kept = values[..., :-1] if stored.alpha else values
    return _tiff(list(np.moveaxis(kept, -1, 0)), stored.nodata), ".tif"


def _set_pixels(path: Path) -> NDArray[np.bool_]:
    stored = decode(path)
    values = mask_values(stored, path)
    if values.ndim == 3:
        values = values.max(axis=2)
    if stored.palette is not None:
        return np.asarray(values > 0)
    return np.asarray(values > int(values.max()) // 2)


def _check_size(shape: tuple[int, ...], wanted: tuple[int, ...], path: Path, first: Path) -> None:
    if tuple(shape) != tuple(wanted):
        raise DataError(
            f"{path} is {shape[1]}x{shape[0]} and {first} {wanted[1]}x{wanted[0]} (width x height); files of one "
            "image must have the same size"
        )


def _made(kind: str, parts: Sequence[Path], settings: object, name: str, make: Callable[[], bytes]) -> Path:
    key = hashlib.sha256(repr((_VERSION, kind, settings, [_stamp(path) for path in parts])).encode()).hexdigest()
    path = default_folder() / "made" / key[:2] / key[2:] / name
    if not path.is_file():
        _write(path, make())
    return path


def _write(path: Path, content: bytes) -> None:
    try:
        write_bytes(path, content)
    except OSError as error:
        raise DataError(
            f"{path.parent}: can't write merged images to the cache folder ({error.strerror}); free space, or set "
            "XDG_CACHE_HOME to a writable folder"
        ) from error


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}; check the path and its permissions") from error
    return str(path.resolve()), stat.st_size, stat.st_mtime_ns


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _tiff(
    planes: Sequence[NDArray[Any]], nodata: float | None = None, spacing: tuple[float, float] | None = None
) -> bytes:
    buffer = io.BytesIO()
    tags: list[tuple[object, ...]] = [] if nodata is None else [(_NODATA_TAG, "s", 0, f"{nodata:.17g}", True)]
    if spacing is not None:
        tags.append((_SCALE_TAG, "d", 3, (spacing[1], spacing[0], 0.0), True))
    if len(planes) == 1:
        tifffile.imwrite(
            buffer, np.ascontiguousarray(planes[0]), photometric="minisblack", compression="zlib", extratags=tags
        )
    else:
        stack = np.stack(planes)
        tifffile.imwrite(
            buffer, stack, photometric="minisblack", planarconfig="separate", compression="zlib", extratags=tags
        )
    return buffer.getvalue()
