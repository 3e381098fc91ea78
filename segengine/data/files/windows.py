"""Windows: the range of stored values, per band, that is mapped to 0..255."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.stored import is_nodata
from segengine.errors import DataError, counted

Window = tuple[float, float]
Windows = tuple[Window, ...]
"""One window for all channels, or one per channel."""
PER_IMAGE: Literal["per-image"] = "per-image"
PERCENTILES = (0.5, 99.5)
_CHUNK_VALUES = 2**20


@dataclass(frozen=True)
class Windowing:
    """The mapping of images with more than 8 bits to 0..255.

    `common`: the windows of all images; "per-image" for percentiles of each image; None if all images have 8 bits.
    `groups`: the windows of each group's images, in place of `common`.
    """

    common: Windows | Literal["per-image"] | None = None
    groups: Mapping[str, Windows] = field(default_factory=dict)

    def of(self, group: str) -> Windows | Literal["per-image"] | None:
        """The windows for an image of this group."""
        return self.groups.get(group, self.common)

    def as_record(self) -> dict[str, Any]:
        """The entry in run.json: `window` is null, "per-image", one pair, or a list of pairs by channel."""
        if self.common is None or self.common == PER_IMAGE:
            window: Any = self.common
        else:
            pairs = [list(pair) for pair in self.common]
            window = pairs[0] if len(pairs) == 1 else pairs
        groups = {group: [list(pair) for pair in windows] for group, windows in self.groups.items()}
        return {"window": window} | ({"group_windows": groups} if groups else {})

    @classmethod
    def from_record(cls, data: Mapping[str, Any]) -> Windowing:
        """Inverse of `as_record`: reads the `data` section of run.json."""
        groups = {group: as_windows(pairs) for group, pairs in (data.get("group_windows") or {}).items()}
        return cls(
            as_windows(data.get("window")),
            {group: pairs for group, pairs in groups.items() if isinstance(pairs, tuple)},
        )


def as_windows(given: Any) -> Windows | Literal["per-image"] | None:
    """Normalize a pair, a list of pairs, "per-image" or None."""
    if given is None or isinstance(given, str):
        return PER_IMAGE if given else None
    pairs = [given] if given and not isinstance(given[0], (list, tuple)) else given
    return tuple((float(low), float(high)) for low, high in pairs)


def through_windows(values: NDArray[Any], windows: Windows) -> NDArray[np.uint8]:
    """Map stored values [H, W, C] to uint8, each channel by its window.

    `low` and below become 0, `high` and above 255, linear and rounded between; NaN becomes 0.

    Raises:
        DataError: an empty window, or a number of windows that differs from the number of channels.
    """
    channels = values.shape[2]
    if len(windows) not in (1, channels):
        raise DataError(
            f"{counted(len(windows), 'window')} for {counted(channels, 'channel')}; give data.window one pair, or one per channel"
        )
    for low, high in windows:
        if not high > low:
            raise DataError(f"the window [{low:g}, {high:g}] is empty; data.window needs low < high")
    if values.dtype == np.uint16:
        table = np.arange(65536, dtype=np.float64)
        if len(windows) == 1:
            return np.asarray(_scaled(table, *windows[0])[values])
        return np.stack([_scaled(table, *window)[values[:, :, i]] for i, window in enumerate(windows)], axis=2)
    lows, highs = (np.array(side) for side in zip(*windows, strict=True))
    result = np.empty(values.shape, np.uint8)
    for rows in row_chunks(values.shape):
        result[rows] = _scaled(values[rows].astype(np.float64), lows, highs)
    return result


def _scaled(values: NDArray[np.float64], low: Any, high: Any) -> NDArray[np.uint8]:
    scaled = (values - low) * 255.0 / (high - low)
    return np.asarray(np.rint(np.clip(np.nan_to_num(scaled, nan=0.0), 0, 255)).astype(np.uint8))


def row_chunks(shape: Sequence[int]) -> Iterator[slice]:
    """Row slices of about a million values, to bound the memory of float64 arithmetic."""
    height, per_row = shape[0], max(1, math.prod(shape[1:]))
    step = max(1, _CHUNK_VALUES // per_row)
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


def image_windows(
    values: NDArray[Any], nodata: float | None = None, missing: NDArray[np.bool_] | None = None
) -> Windows:
    """The 0.5 and 99.5 percentiles of each channel of one image [H, W, C], over finite values that are not nodata."""
    windows: list[Window] = []
    for band in range(values.shape[2]):
        valid = valid_values(values[:, :, band], nodata, missing)
        low, high = (float(p) for p in np.percentile(valid, PERCENTILES)) if valid.size else (0.0, 0.0)
        windows.append((low, high) if high > low else (low, low + 1.0))
    return tuple(windows)


def valid_values(band: NDArray[Any], nodata: float | None, missing: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Valid values of a band [H, W], flattened: finite, not nodata, not missing."""
    valid = np.isfinite(band) if np.issubdtype(band.dtype, np.floating) else np.ones(band.shape, bool)
    if nodata is not None:
        valid &= ~is_nodata(band, nodata)
    if missing is not None:
        valid &= ~missing
    return np.asarray(band[valid])


def shown(windows: Windows) -> str:
    """Windows as text: `[0, 4095]`, comma-separated."""
    return ", ".join(f"[{low:.6g}, {high:.6g}]" for low, high in windows)
