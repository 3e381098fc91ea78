"""Volumes as slices: each slice of an image volume and its mask volume as a pair of files in the cache folder.

Image slices are TIFF files that keep the stored values, with their pixel spacing; voxels without a measurement are NaN.
Mask slices are gray PNG files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.decoding import read_pages, read_volume
from segengine.data.files.formats import holds_of
from segengine.data.files.reading import mask_values
from segengine.data.files.stored import Stored
from segengine.data.files.volumes import (
    Plane,
    Slicing,
    Volume,
    check_same_grid,
    on_grid_of,
    slices_of,
    slicing_of,
    stacked_volumes,
)
from segengine.data.sources.parts import Piece, divided
from segengine.errors import DataError, counted

_at_once = BoundedSemaphore(2)  # volumes in memory


def volume_slices(images: Sequence[Path], mask: Path, plane: Plane) -> list[tuple[str, Path, Path]]:
    """The slices of a volume and its mask: (name, image, mask) per slice.

    Args:
        images: the volume's channels, one file each.
        mask: the volume of its mask.
        plane: the plane of the slices.

    Raises:
        DataError: unreadable files, or a mask on another grid than the image.
    """

    def cut() -> Iterator[Piece]:
        with _at_once:
            image = stacked_volumes([read_volume(path) for path in images], list(images))
            truth = _mask_volume(mask)
            check_same_grid(image, truth, images[0], mask)
            yield from _pieces(image, labels_of(truth, mask), slicing_of(image, plane))

    return divided(images, (mask,), ("slices", plane), cut)


def series_slices(files: Sequence[Path], masks: Sequence[Path], plane: Plane) -> list[tuple[str, Path, Path]]:
    """The slices of a DICOM series and its mask: a segmentation object, a volume on the series' grid, or a file per slice.

    Raises:
        DataError: unreadable files, an incomplete series, or a mask that doesn't fit it.
    """

    def cut() -> Iterator[Piece]:
        from segengine.data.files.dicom_series import read_series

        with _at_once:
            series = read_series(files)
            labels = _series_labels(series.volume, series.files, masks)
            yield from _pieces(series.volume, labels, slicing_of(series.volume, plane))

    return divided(files, masks, ("series", plane), cut)


def _series_labels(image: Volume, files: Sequence[Path], masks: Sequence[Path]) -> NDArray[Any]:
    from segengine.data.files.dicom_series import read_segmentation

    if len(masks) > 1:
        raise DataError(
            f"{masks[0].parent}: holds {counted(len(masks), 'mask')} for one series; use {{slice}} for series whose mask is one file, "
            "and * for one mask per slice"
        )
    if holds_of(masks[0]) == "volume":
        truth = _mask_volume(masks[0])
        return labels_of(on_grid_of(image, truth, files[0].parent, masks[0]), masks[0])
    return read_segmentation(masks[0], image).values


def _mask_volume(path: Path) -> Volume:
    if holds_of(path) == "volume":
        return read_volume(path)
    pages = read_pages(path)
    raise DataError(
        f"{path}: holds {counted(len(pages), 'image')} and is the mask of a volume; save the mask as a volume of the same shape "
        "(.nii.gz)"
    )


def labels_of(volume: Volume, path: Path) -> NDArray[Any]:
    """The mask values of a volume, uint8 or uint16 [I, J, K]. Raises DataError for values that are not valid in a mask."""
    if volume.values.ndim == 4:
        raise DataError(
            f"{path}: holds {volume.values.shape[3]} volumes and is a mask; save one label per voxel in one volume"
        )
    flat = volume.values.reshape(volume.shape[0], -1)
    raw = mask_values(Stored(flat, 8 * flat.dtype.itemsize), path)
    narrow = raw.astype(np.uint8) if raw.max(initial=0) < 256 else raw
    return narrow.reshape(volume.shape)


def _pieces(image: Volume, labels: NDArray[Any], slicing: Slicing) -> Iterator[Piece]:
    bits = 8 * labels.dtype.itemsize
    masks = slicing.apply(labels)
    for i, stored in enumerate(slices_of(image, slicing)):
        truth = Stored(np.ascontiguousarray(masks[i]), bits)
        yield f"slice{i + 1:04d}", (stored, _with_nan(stored)), (truth, truth.values)


def _with_nan(stored: Stored) -> NDArray[Any]:
    if stored.missing is None:
        return stored.values
    values = stored.values.astype(np.float32)
    values[stored.missing] = np.nan
    return values
