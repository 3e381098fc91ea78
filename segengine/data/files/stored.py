"""The result of a reader: the stored values of one image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Stored:
    """A decoded image or mask file.

    `values`: [H, W] or [H, W, C] in the file's own dtype, upright. `bits` per value: 1, 2 or 4 where uint8 holds so
    few, else the dtype's. `palette`: (red, green, blue) of each index. `alpha`: the last channel is transparency.
    `lossy`: lossy compression. `nodata`: the value declared as no measurement; `missing`: bool
    [H, W], True for pixels without a measurement (nodata in all bands, NaN in any, or outside the validity mask),
    None if all pixels are valid. `spacing`: (row, column) distance of pixels in the file's unit, with `millimetres` in
    millimetres. `notes`: remarks for the user on how the file was read.
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
    millimetres: bool = False

    @property
    def deep(self) -> bool:
        """Whether a window is needed to map the values to 0..255: True except for unsigned integers of at most 8 bits."""
        return self.values.dtype != np.uint8


class FileReader(Protocol):
    """Protocol of the object that a reader builds. Files of several images also have `read_pages(path, content) -> list[Stored]`, volumes
    `read_volume(path, content) -> Volume`.
    """

    def read(self, path: Path, content: bytes) -> Stored:
        """The single image of a file with these bytes; `path` is for messages.

        Raises:
            DataError: several images, or a size above the limit, checked before pixels are decoded; any other exception
                is reported as "can't be decoded", with its text.
        """


def upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo EXIF orientation 1..8 (CIPA DC-008, 4.6.4); other numbers are ignored."""
    if orientation in (5, 6, 7, 8):
        values = np.swapaxes(values, 0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return np.ascontiguousarray(values)


def missing_pixels(values: NDArray[Any], nodata: float | None) -> NDArray[np.bool_] | None:
    """Pixels with NaN in any band or `nodata` in all bands: bool [H, W], None if there are none."""
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
    """Elementwise comparison with `nodata`, also as rounded to float32; NaN equals nothing."""
    if np.issubdtype(values.dtype, np.floating):
        with np.errstate(over="ignore"):
            return np.asarray(values == values.dtype.type(nodata))
    return np.asarray(values == nodata)
