"""The georeference of a GeoTIFF: its tags, its coordinate reference system, and pixel to map coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, _KEYS, _DOUBLES, _TEXTS = 33550, 33922, 34264, 34735, 34736, 34737
_ORIENTATION = 274
_TYPES = {_PIXEL_SCALE: 12, _TIE_POINTS: 12, _TRANSFORMATION: 12, _KEYS: 3, _DOUBLES: 12, _TEXTS: 2}
"""Tags of GeoTIFF 1.1 (OGC 19-008r4) and their TIFF types: 12 double, 3 short, 2 ASCII."""
_RASTER_TYPE, _GEOGRAPHIC, _PROJECTED = 1025, 2048, 3072
_PIXEL_IS_POINT, _USER_DEFINED = 2, 32767

Tag = tuple[int, int, int, Any, bool]


@dataclass(frozen=True)
class Georeference:
    """`tags`: for tifffile's `extratags`. `affine`: x = a column + b row + c, y = d column + e row + f as (a, b, c, d, e, f),
    for the corners of pixels; None without a position. `epsg`: code of the coordinate reference system; None if it has none.
    """

    tags: tuple[Tag, ...]
    affine: tuple[float, float, float, float, float, float] | None
    epsg: int | None

    def mapped(self, points: Sequence[Sequence[float]]) -> list[list[float]]:
        """Points (column, row) in map coordinates (x, y)."""
        assert self.affine is not None
        a, b, c, d, e, f = self.affine
        columns, rows = np.asarray(points, float).T
        found: list[list[float]] = np.stack([a * columns + b * rows + c, d * columns + e * rows + f], axis=1).tolist()
        return found


def georeference_of(path: Path) -> Georeference | None:
    """The georeference of a TIFF file; None for other files, and for images that are stored rotated or mirrored."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            tags = {code: page.tags[code].value for code in _TYPES if code in page.tags}
            upright = page.tags[_ORIENTATION].value == 1 if _ORIENTATION in page.tags else True
    except Exception:  # a file that can't be read is reported when its pixels are
        return None
    if not tags or not upright:
        return None
    keys = _keys_of(tags.get(_KEYS, ()))
    epsg = keys.get(_PROJECTED) or keys.get(_GEOGRAPHIC)
    found = tuple(_tag(code, value) for code, value in tags.items())
    return Georeference(found, _affine(tags, keys), None if epsg in (None, 0, _USER_DEFINED) else epsg)


def _tag(code: int, value: Any) -> Tag:
    if isinstance(value, str):
        text = value if value.endswith("\0") else f"{value}\0"
        return code, _TYPES[code], len(text), text, True
    values = tuple(value) if isinstance(value, Sequence | np.ndarray) else (value,)
    return code, _TYPES[code], len(values), values, True


def _keys_of(directory: Sequence[int]) -> dict[int, int]:
    """Keys with a short value, from the GeoKeyDirectory."""
    entries: NDArray[np.int64] = np.asarray(directory[4:], np.int64)
    entries = entries[: len(entries) // 4 * 4].reshape(-1, 4)
    return {int(key): int(value) for key, location, _, value in entries if location == 0}


def _affine(tags: dict[int, Any], keys: dict[int, int]) -> tuple[float, float, float, float, float, float] | None:
    shift = 0.5 if keys.get(_RASTER_TYPE) == _PIXEL_IS_POINT else 0.0  # tie points of points are at pixel centres
    if len(tags.get(_TRANSFORMATION, ())) == 16:
        m = [float(v) for v in tags[_TRANSFORMATION]]
        a, b, c, d, e, f = m[0], m[1], m[3], m[4], m[5], m[7]
    elif len(tags.get(_PIXEL_SCALE, ())) >= 2 and len(tags.get(_TIE_POINTS, ())) >= 6:
        (across, down), (i, j, _, x, y, _) = tags[_PIXEL_SCALE][:2], tags[_TIE_POINTS][:6]
        a, b, c, d, e, f = across, 0.0, x - i * across, 0.0, -down, y + j * down
    else:
        return None
    return a, b, c - shift * (a + b), d, e, f - shift * (d + e)
