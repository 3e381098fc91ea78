"""Volumes: voxels with their position in space, and their division into slices.

World coordinates are millimetres to the patient's right, anterior and superior side (RAS+, as in NIfTI).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.stored import Stored
from segengine.errors import DataError

Plane = Literal["auto", "axial", "coronal", "sagittal"]
_PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
"""By the world axis across their slices."""
_TOLERANCE_SHARE = 0.02
"""Largest distance of two grids' corners that counts as equal, as a share of the smallest voxel side."""


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels as stored in a file.

    `values`: [I, J, K] or [I, J, K, C]. `affine`: float64 [4, 4], voxel indices (i, j, k, 1) to RAS+ millimetres.
    `missing`: bool [I, J, K], True for voxels without a measurement; None if all are valid. `modality`: "CT", "MR" and so on
    as in DICOM, "" if unknown. `window`: (low, high) that the file declares for display. `notes`: remarks for the user.
    """

    values: NDArray[Any]
    affine: NDArray[np.float64]
    missing: NDArray[np.bool_] | None = None
    modality: str = ""
    window: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        i, j, k = self.values.shape[:3]
        return i, j, k

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of voxels along each axis, in millimetres."""
        a, b, c = (float(length) for length in np.linalg.norm(self.affine[:3, :3], axis=0))
        return a, b, c


@dataclass(frozen=True)
class Slicing:
    """Axes of a volume as slices, rows and columns, and whether each runs backwards."""

    plane: str
    axes: tuple[int, int, int]
    backwards: tuple[bool, bool, bool]

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Voxels [I, J, K] or [I, J, K, C] as slices [S, H, W] or [S, H, W, C]; a view."""
        rest = range(3, values.ndim)
        return values.transpose(*self.axes, *rest)[self._steps()]

    def undo(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Inverse of `apply`."""
        turned = slices[self._steps()]
        rest = range(3, slices.ndim)
        return turned.transpose(*(self.axes.index(axis) for axis in range(3)), *rest)

    def _steps(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if back else 1) for back in self.backwards)


def slicing_of(volume: Volume, plane: Plane = "auto") -> Slicing:
    """How a volume is divided into slices.

    "auto" takes the plane across the axis with the largest spacing, in which the volume was acquired; the axial plane if no
    spacing is clearly larger. Slices run from feet to head, from back to front, or from left to right; rows from head to
    feet, or from front to back; columns from the patient's right to left, or from front to back (as in radiology).
    """
    world = world_axes(volume.affine)  # array axis -> world axis
    if plane == "auto":
        plane = _PLANES[world[_through_plane(volume, world)]]
    normal = _PLANES.index(plane)
    rows, columns = {0: (2, 1), 1: (2, 0), 2: (1, 0)}[normal]
    axes = tuple(world.index(axis) for axis in (normal, rows, columns))
    rising = [bool(volume.affine[axis, place] > 0) for axis, place in zip((normal, rows, columns), axes, strict=True)]
    return Slicing(plane, (axes[0], axes[1], axes[2]), (not rising[0], rising[1], rising[2]))


def _through_plane(volume: Volume, world: tuple[int, int, int]) -> int:
    """The array axis across slices: a single voxel thick, or clearly the largest spacing, else the axial one."""
    flat = [axis for axis in range(3) if volume.shape[axis] == 1]
    if len(flat) == 1:
        return flat[0]
    spacing = volume.spacing
    largest = int(np.argmax(spacing))
    others = max(spacing[axis] for axis in range(3) if axis != largest)
    return largest if spacing[largest] > 1.2 * others else world.index(2)


def world_axes(affine: NDArray[np.float64]) -> tuple[int, int, int]:
    """For each array axis the world axis (0 right, 1 anterior, 2 superior) that it follows most closely."""
    cosines = np.abs(affine[:3, :3]) / np.linalg.norm(affine[:3, :3], axis=0)
    best = max(permutations(range(3)), key=lambda order: sum(cosines[order[i], i] for i in range(3)))
    return best[0], best[1], best[2]


def slice_spacing(volume: Volume, slicing: Slicing) -> tuple[float, float]:
    """(row, column) spacing of pixels in millimetres."""
    return volume.spacing[slicing.axes[1]], volume.spacing[slicing.axes[2]]


def slices_of(volume: Volume, slicing: Slicing) -> list[Stored]:
    """The slices of a volume as images, in order."""
    values = slicing.apply(volume.values)
    missing = None if volume.missing is None else slicing.apply(volume.missing)
    spacing = slice_spacing(volume, slicing)
    return [
        Stored(
            np.ascontiguousarray(values[i]),
            8 * values.dtype.itemsize,
            missing=None if missing is None or not missing[i].any() else np.ascontiguousarray(missing[i]),
            spacing=spacing,
            notes=volume.notes,
            millimetres=True,
        )
        for i in range(len(values))
    ]


def only_slice(volume: Volume, path: Path) -> Stored:
    """A volume of one slice as an image. Raises DataError for several."""
    if min(volume.shape) == 1:
        return slices_of(volume, slicing_of(volume))[0]
    i, j, k = volume.shape
    raise DataError(
        f"{path}: is a volume of {i} x {j} x {k} voxels, not an image; sources of experiments divide volumes into slices, "
        "and `segengine predict` predicts volumes"
    )


def check_same_grid(image: Volume, mask: Volume, image_path: Path, mask_path: Path) -> None:
    """Check that the grid of a mask is that of its image.

    Raises:
        DataError: another shape, orientation, spacing or position; says which.
    """
    if image.shape != mask.shape:
        raise DataError(
            f"{mask_path}: has {_times(mask.shape)} voxels and its image {image_path} {_times(image.shape)}; resample the mask "
            "to the image's grid by nearest neighbour"
        )
    corners = np.array([[i, j, k, 1.0] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    corners[:, :3] *= np.array(image.shape) - 1
    apart = np.linalg.norm((corners @ image.affine.T - corners @ mask.affine.T)[:, :3], axis=1).max()
    if apart > max(_TOLERANCE_SHARE * min(image.spacing), 1e-3):
        raise DataError(
            f"{mask_path}: {_difference(image, mask, apart)} ({image_path}); export the mask again on the image's grid, or copy the "
            "image's affine if only the header is wrong"
        )


def _difference(image: Volume, mask: Volume, apart: float) -> str:
    """How the grids of a mask and its image differ, in words."""
    turned, upright = axis_codes(mask.affine), axis_codes(image.affine)
    if turned != upright:
        return f"has the orientation {turned} and its image {upright}"
    if not np.allclose(mask.spacing, image.spacing, rtol=_TOLERANCE_SHARE):
        return f"has the spacing {_times(mask.spacing)} mm and its image {_times(image.spacing)} mm"
    return f"has another position in space than its image, up to {apart:.3g} mm away"


def axis_codes(affine: NDArray[np.float64]) -> str:
    """The directions of a volume's axes: `LPS`, `RAS`."""
    letters = (("L", "R"), ("P", "A"), ("I", "S"))
    return "".join(letters[w][int(affine[w, i] > 0)] for i, w in enumerate(world_axes(affine)))


def checked_affine(affine: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    """A usable affine. Raises DataError for one that is not finite, or that maps the volume to a plane."""
    matrix = np.asarray(affine, np.float64)
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or lengths.min() < 1e-6 or abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-3:
        raise DataError(f"{path}: declares an unusable voxel orientation or spacing; correct its header")
    return matrix


def on_grid_of(image: Volume, mask: Volume, image_path: Path, mask_path: Path) -> Volume:
    """A mask in the axis order of an image on the same grid, such as NIfTI masks of DICOM series.

    Raises:
        DataError: the voxels don't coincide.
    """
    world = world_axes(mask.affine)
    order = [world.index(axis) for axis in world_axes(image.affine)]
    values = mask.values.transpose(*order, *range(3, mask.values.ndim))
    affine = mask.affine[:, [*order, 3]].copy()
    for axis in range(3):
        if affine[:3, axis] @ image.affine[:3, axis] < 0:
            values = np.flip(values, axis)
            affine[:, 3] += affine[:, axis] * (values.shape[axis] - 1)
            affine[:, axis] *= -1
    turned = replace(mask, values=values, affine=affine, missing=None)
    check_same_grid(image, turned, image_path, mask_path)
    return turned


def stacked_volumes(volumes: list[Volume], paths: list[Path]) -> Volume:
    """The channels of several volumes on one grid as one. Raises DataError for different grids."""
    for volume, path in zip(volumes[1:], paths[1:], strict=True):
        check_same_grid(volumes[0], volume, paths[0], path)
    planes = [v.values if v.values.ndim == 4 else v.values[..., None] for v in volumes]
    dtype = np.result_type(*planes) if len({p.dtype for p in planes}) > 1 else planes[0].dtype
    missing = [v.missing for v in volumes if v.missing is not None]
    return replace(
        volumes[0],
        values=np.concatenate([p.astype(dtype, copy=False) for p in planes], axis=3),
        missing=np.logical_or.reduce(missing) if missing else None,
        window=None,
    )


def _times(numbers: tuple[float, ...] | tuple[int, ...]) -> str:
    return " x ".join(f"{n:.4g}" for n in numbers)
