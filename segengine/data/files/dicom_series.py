"""DICOM series and segmentation objects as volumes: slices ordered by their position in space."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.dicom import (
    SEGMENTATION,
    dataset,
    declared_window,
    decoded,
    functional_group,
    in_units,
    pixel_spacing,
)
from segengine.data.files.limits import check_size, file_bytes
from segengine.data.files.volumes import Volume, checked_affine
from segengine.errors import DataError, counted

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM's patient coordinates run to the left and posterior side
_UNEVEN = 0.05


@dataclass(frozen=True, eq=False)
class Series:
    """The slices of a series in order of position, as a volume of rows x columns x slices, and the file of each slice."""

    volume: Volume
    files: tuple[Path, ...]


def read_series(files: Sequence[Path]) -> Series:
    """The volume of single-slice files of one series.

    Raises:
        DataError: no position, two series, duplicate positions, or sizes, orientations or gaps that differ.
    """
    slices = []
    for path in files:
        data = dataset(path, file_bytes(path))
        slices.append((path, data, *_place(path, data)))
    first = slices[0]
    uids = Counter(str(data.get("SeriesInstanceUID", "")) for _, data, _, _ in slices)
    if len(uids) > 1:
        raise DataError(
            f"{first[0].parent}: holds slices of {len(uids)} series ({', '.join(map(str, uids.values()))} files); put each series "
            "into a folder of its own"
        )
    for path, _, axes, _ in slices:
        if not np.allclose(axes, first[2], atol=1e-3):
            raise DataError(f"{path}: has another orientation than {first[0]}; leave scouts and localisers out")
    normal = np.cross(first[2][0], first[2][1])
    slices.sort(key=lambda each: float(each[3] @ normal))
    heights = np.array([each[3] @ normal for each in slices])
    step = _step(slices[0][1], heights, [each[0] for each in slices])
    planes, missing = _planes(slices)
    return Series(
        Volume(
            planes,
            _affine(slices[0][0], slices[0][1], slices[0][2], slices[0][3], normal * step),
            missing,
            str(slices[0][1].get("Modality", "")),
            declared_window(slices[0][1]),
        ),
        tuple(each[0] for each in slices),
    )


def read_segmentation(path: Path, like: Volume) -> Volume:
    """The label map of a segmentation object on the grid of an image series: the segment's number per voxel, 0 elsewhere.

    Where segments overlap, the higher number is used.

    Raises:
        DataError: not a segmentation, or frames outside the grid of `like`.
    """
    data = dataset(path, file_bytes(path))
    if data.get("SOPClassUID") != SEGMENTATION:
        raise DataError(f"{path}: is a DICOM image, not a segmentation object; give one mask file per slice instead")
    frames = decoded(path, data)
    labels = np.zeros(like.shape, np.uint16)
    to_index = np.linalg.inv(like.affine)
    fractional = str(data.get("SegmentationType", "BINARY")) == "FRACTIONAL"
    half = float(data.get("MaximumFractionalValue", 255) or 255) / 2 if fractional else 0
    numbered = sorted(range(len(frames)), key=lambda i: _segment(path, data, i))
    for i in numbered:
        corner = _frame_place(path, data, i)
        index = to_index @ corner
        k = round(float(index[2, 3]))
        aligned = np.allclose(index[:3, :2], np.eye(3)[:, :2], atol=0.02) and np.abs(index[:2, 3]).max() < 0.02
        if not aligned or frames[i].shape != like.shape[:2] or not 0 <= k < like.shape[2] or abs(index[2, 3] - k) > 0.1:
            raise DataError(
                f"{path}: frame {i + 1} doesn't lie on a slice of the image series; export the segmentation on the grid of "
                "its images"
            )
        labels[:, :, k][frames[i] > half] = _segment(path, data, i)
    return Volume(labels.astype(np.uint8) if labels.max(initial=0) < 256 else labels, like.affine)


def segment_names(path: Path) -> dict[int, str]:
    """Segment number -> label of a segmentation object."""
    data = dataset(path, file_bytes(path), pixels=False)
    return {int(item.SegmentNumber): str(item.get("SegmentLabel", "")) for item in data.get("SegmentSequence") or ()}


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM segmentation object."""
    return bool(dataset(path, file_bytes(path), pixels=False).get("SOPClassUID") == SEGMENTATION)


def _place(path: Path, data: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions of increasing column and row index [2, 3], and the first pixel's position [3], in DICOM's millimetres."""
    directions = data.get("ImageOrientationPatient")
    position = data.get("ImagePositionPatient")
    plane = functional_group(data, 0, "PlaneOrientationSequence"), functional_group(data, 0, "PlanePositionSequence")
    directions = directions if directions is not None or plane[0] is None else plane[0].get("ImageOrientationPatient")
    position = position if position is not None or plane[1] is None else plane[1].get("ImagePositionPatient")
    return _checked_place(path, directions, position)


def _checked_place(path: Path, directions: Any, position: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        axes = np.array([float(n) for n in directions], np.float64).reshape(2, 3)
        origin = np.array([float(n) for n in position], np.float64).reshape(3)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: declares no position in the patient; use its slices as single images") from error
    lengths = np.linalg.norm(axes, axis=1)
    if not np.isfinite(axes).all() or not np.isfinite(origin).all() or not np.allclose(lengths, 1, atol=0.01):
        raise DataError(f"{path}: declares an unusable orientation or position; correct its header")
    return axes, origin


def _step(data: Any, heights: NDArray[np.float64], paths: Sequence[Path]) -> float:
    """The distance of neighbouring slices; the slice thickness of a single slice."""
    if len(heights) == 1:
        found = data.get("SpacingBetweenSlices") or data.get("SliceThickness") or 1.0
        return abs(float(found)) or 1.0
    gaps = np.diff(heights)
    step = float(np.median(gaps))
    if gaps.min() < 1e-3:
        at = int(np.argmin(gaps))
        raise DataError(f"{paths[at]} and {paths[at + 1]} lie at the same position; remove one of them")
    if np.abs(gaps - step).max() > max(_UNEVEN * step, 1e-2):
        at = int(np.argmax(np.abs(gaps - step)))
        raise DataError(
            f"{paths[at].parent}: the distance of slices varies from {gaps.min():.4g} to {gaps.max():.4g} mm (after {paths[at].name}); "
            "is a slice missing?"
        )
    return float(heights[-1] - heights[0]) / (len(heights) - 1)


def _planes(slices: Sequence[tuple[Path, Any, Any, Any]]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    planes, missing = [], []
    rows, columns = int(slices[0][1].get("Rows", 0)), int(slices[0][1].get("Columns", 0))
    check_size(slices[0][0], rows, columns, 4 * len(slices))
    for path, data, _, _ in slices:
        values = decoded(path, data)
        if len(values) > 1:
            raise DataError(f"{path}: holds {counted(len(values), 'frame')}; a series has one slice per file")
        plane, absent, _ = in_units(data, values)
        if plane.shape[1:3] != (rows, columns):
            raise DataError(
                f"{path}: is {plane.shape[2]}x{plane.shape[1]} and {slices[0][0]} {columns}x{rows} (width x height)"
            )
        planes.append(plane[0])
        missing.append(np.zeros((rows, columns), bool) if absent is None else absent[0])
    absent_anywhere = np.stack(missing, axis=2)
    return np.stack(planes, axis=2), absent_anywhere if absent_anywhere.any() else None


def _affine(
    path: Path, data: Any, axes: NDArray[np.float64], origin: NDArray[np.float64], step: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(row, column, slice, 1) -> RAS+ millimetres."""
    spacing = pixel_spacing(data) or (1.0, 1.0)
    matrix = np.eye(4)
    matrix[:3, 0] = axes[1] * spacing[0]  # the next row lies along the columns' direction
    matrix[:3, 1] = axes[0] * spacing[1]
    matrix[:3, 2] = step
    matrix[:3, 3] = origin
    return checked_affine(_TO_RAS @ matrix, path)


def _frame_place(path: Path, data: Any, frame: int) -> NDArray[np.float64]:
    """Affine of one frame of a segmentation; the third column is its normal."""
    orientation = functional_group(data, frame, "PlaneOrientationSequence")
    position = functional_group(data, frame, "PlanePositionSequence")
    measures = functional_group(data, frame, "PixelMeasuresSequence")
    axes, origin = _checked_place(
        path,
        None if orientation is None else orientation.get("ImageOrientationPatient"),
        None if position is None else position.get("ImagePositionPatient"),
    )
    holder = measures if measures is not None and "PixelSpacing" in measures else data
    return _affine(path, holder, axes, origin, np.cross(axes[0], axes[1]))


def _segment(path: Path, data: Any, frame: int) -> int:
    """The segment number of a frame."""
    item = functional_group(data, frame, "SegmentIdentificationSequence")
    number = None if item is None else item.get("ReferencedSegmentNumber")
    if not isinstance(number, int) or not 0 < number < 65536 or not math.isfinite(number):
        raise DataError(f"{path}: frame {frame + 1} names no segment; export the segmentation again")
    return number
