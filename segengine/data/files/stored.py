"""What a reader returns: the values of one picture as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Stored:
    """Decoded picture of an image or mask file.

    `values`: [H, W] or [H, W, C] in the file's own dtype, upright. `bits` per value: 1, 2 or 4 where uint8 values use so
    few, else the dtype's. `palette`: (red, green, blue) of each index. `alpha`: the last channel is transparency.
    `lossy`: the compression changes values. `nodata`: the value that the file declares as no measurement; `missing`: bool
    [H, W], True where the file holds no measurement (nodata in all bands, NaN in any, or outside its validity mask),
    None where all pixels are valid. `spacing`: (row, column) distance of pixels in the file's unit. `notes`: what a user
    should know about how the file was read.
    """

    values: NDArray[Any]
    bits: int
    palette: tuple[tuple[int, int, int], ...] | None = None
    alpha: bool = False
    lossy: bool = False
    nodata: float | None = None
    missing: NDArray[np.bool_] | None = None
    spacing: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def deep(self) -> bool:
        """Whether the values need a window to become 0..255: all but unsigned integers of at most 8 bits."""
        return self.values.dtype != np.uint8


def upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo EXIF orientation 1..8 (CIPA DC-008, 4.6.4); other numbers change nothing."""
    if orientation in (5, 6, 7, 8):
        values = np.swapaxes(values, 0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return np.ascontiguousarray(values)


def missing_pixels(values: NDArray[Any], nodata: float | None) -> NDArray[np.bool_] | None:
    """Bool [H, W] of pixels with NaN in any band or `nodata` in all bands; None where there are none."""
    missing: NDArray[np.bool_] | None = None
    if np.issubdtype(values.dtype, np.floating):
        invalid = np.isnan(values)
        missing = invalid.any(axis=2) if values.ndim == 3 else invalid
    if nodata is not None:
        absent = is_nodata(values, nodata)
        absent = np.asarray(absent.all(axis=2)) if values.ndim == 3 else absent
        missing = absent if missing is None else missing | absent
    return missing if missing is not None and bool(missing.any()) else None


def is_nodata(values: NDArray[Any], nodata: float) -> NDArray[np.bool_]:
    """Where values equal `nodata`, which a float32 file may hold rounded to float32; NaN equals nothing."""
    if np.issubdtype(values.dtype, np.floating):
        with np.errstate(over="ignore"):
            return np.asarray(values == values.dtype.type(nodata))
    return np.asarray(values == nodata)
