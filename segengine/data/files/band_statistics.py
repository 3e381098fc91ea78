"""Per-band histograms, summed over any number of images, and percentiles computed from them.

uint16 values have one bin each. All other types are binned by the upper 18 bits of their float32 pattern, which sort like
the numbers themselves: every bin is at most 0.2 % of the value wide, at any scale and range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.windows import PERCENTILES, Window, Windows, valid_values

_DROPPED_BITS = 14
_SIGN = np.uint32(0x80000000)


@dataclass(frozen=True, eq=False)
class BandCounts:
    """Histogram of a band: `counts` int64 [bins], minimum and maximum; `whole`: one bin per integer value."""

    counts: NDArray[np.int64]
    least: float
    greatest: float
    whole: bool

    def plus(self, other: BandCounts) -> BandCounts:
        """The sum of two histograms, which must use the same binning."""
        assert self.whole == other.whole
        return BandCounts(
            self.counts + other.counts, min(self.least, other.least), max(self.greatest, other.greatest), self.whole
        )

    @property
    def pixels(self) -> int:
        """The number of values."""
        return int(self.counts.sum())

    def percentile(self, percent: float) -> float:
        """A percentile by linear interpolation, as in NumPy; each of the two values is exact to its bin width."""
        rank = percent / 100 * (self.pixels - 1)
        low, high = (self._ordered(int(place)) for place in (np.floor(rank), np.ceil(rank)))
        return float(low + (rank - np.floor(rank)) * (high - low))

    def _ordered(self, place: int) -> float:
        """The value at a 0-based rank in ascending order."""
        below = np.cumsum(self.counts)
        index = int(np.searchsorted(below, place, side="right"))
        if self.whole:
            return float(index)
        part = (place - (below[index] - self.counts[index]) + 0.5) / self.counts[index]
        low, high = (float(value) for value in _values(np.array([index, index + 1])))
        value = float(np.clip(low + part * (high - low), self.least, self.greatest))
        return 0.0 if abs(value) < np.finfo(np.float32).tiny else value

    def levels(self, window: Window) -> int:
        """Number of the 256 gray levels that the band occupies after windowing."""
        codes = np.flatnonzero(self.counts)
        values = codes.astype(np.float64) if self.whole else _values(codes)
        return len(np.unique(np.rint(np.clip((values - window[0]) * 255 / (window[1] - window[0]), 0, 255))))


def band_counts(
    values: NDArray[Any], nodata: float | None, missing: NDArray[np.bool_] | None, *, whole: bool
) -> list[BandCounts]:
    """Histogram of each channel of an image [H, W, C], excluding nodata, NaN and infinite values."""
    found = []
    for band in range(values.shape[2]):
        valid = valid_values(values[:, :, band], nodata, missing)
        codes, bins = (valid, 65536) if whole else (_codes(valid), 2 ** (32 - _DROPPED_BITS))
        counts = np.bincount(codes, minlength=bins)
        least, greatest = (float(valid.min()), float(valid.max())) if valid.size else (np.inf, -np.inf)
        found.append(BandCounts(counts, least, greatest, whole))
    return found


def windows_of(bands: Sequence[BandCounts]) -> tuple[Windows, list[str]]:
    """The percentile window of each band, and notes about constant bands and bands with few gray levels."""
    windows: list[Window] = []
    notes: list[str] = []
    for number, band in enumerate(bands, start=1):
        if not band.pixels:
            windows.append((0.0, 1.0))
            notes.append(f"channel {number} has no valid value")
            continue
        low, high = (band.percentile(p) for p in PERCENTILES)
        if not high > low:
            low, high = band.least, band.greatest
        if not high > low:
            windows.append((low, low + 1))
            notes.append(f"channel {number} has the single value {low:g}")
            continue
        windows.append((low, high))
        levels = band.levels((low, high))
        if levels < 8:
            notes.append(f"channel {number} keeps {levels} gray levels")
    return tuple(windows), notes


def _codes(values: NDArray[Any]) -> NDArray[np.uint32]:
    """Upper bits of float32 patterns, ordered like the numbers (negative patterns are reversed)."""
    with np.errstate(over="ignore"):
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return np.asarray(ordered >> np.uint32(_DROPPED_BITS))


def _values(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lower edge of each bin."""
    ordered = codes.astype(np.uint64) << np.uint64(_DROPPED_BITS)
    ordered = np.minimum(ordered, np.uint64(0xFFFFFFFF)).astype(np.uint32)
    bits = np.where(ordered & _SIGN, ordered & ~_SIGN, ~ordered).astype(np.uint32)
    return np.asarray(bits.view(np.float32).astype(np.float64))
