"""Histograms of bands, added up over any number of images, and the percentiles that follow from them.

Values of uint16 have one bin each. All others are counted by the upper 18 bits of their float32 pattern, which are ordered
as the numbers are: bins are at most 0.2 % of the value wide at every scale, whatever the range.
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
    """How often the values of a band occur: `counts` int64 [bins], the least and the greatest; `whole`: a bin per value."""

    counts: NDArray[np.int64]
    least: float
    greatest: float
    whole: bool

    def plus(self, other: BandCounts) -> BandCounts:
        """Both together; the bins must be of one kind."""
        assert self.whole == other.whole
        return BandCounts(
            self.counts + other.counts, min(self.least, other.least), max(self.greatest, other.greatest), self.whole
        )

    @property
    def pixels(self) -> int:
        """The number of values."""
        return int(self.counts.sum())

    def percentile(self, percent: float) -> float:
        """A percentile as numpy's: linear between the two nearest values in order, each exact to its bin's width."""
        rank = percent / 100 * (self.pixels - 1)
        low, high = (self._ordered(int(place)) for place in (np.floor(rank), np.ceil(rank)))
        return float(low + (rank - np.floor(rank)) * (high - low))

    def _ordered(self, place: int) -> float:
        """The value at a place, from 0, among all in ascending order."""
        below = np.cumsum(self.counts)
        index = int(np.searchsorted(below, place, side="right"))
        if self.whole:
            return float(index)
        part = (place - (below[index] - self.counts[index]) + 0.5) / self.counts[index]
        low, high = (float(value) for value in _values(np.array([index, index + 1])))
        value = float(np.clip(low + part * (high - low), self.least, self.greatest))
        return 0.0 if abs(value) < np.finfo(np.float32).tiny else value

    def levels(self, window: Window) -> int:
        """How many of the 256 gray levels the band's values keep after the window."""
        codes = np.flatnonzero(self.counts)
        values = codes.astype(np.float64) if self.whole else _values(codes)
        return len(np.unique(np.rint(np.clip((values - window[0]) * 255 / (window[1] - window[0]), 0, 255))))


def band_counts(
    values: NDArray[Any], nodata: float | None, missing: NDArray[np.bool_] | None, *, whole: bool
) -> list[BandCounts]:
    """Counts of each channel of an image [H, W, C], without nodata, NaN and infinite values."""
    found = []
    for band in range(values.shape[2]):
        valid = valid_values(values[:, :, band], nodata, missing)
        codes, bins = (valid, 65536) if whole else (_codes(valid), 2 ** (32 - _DROPPED_BITS))
        counts = np.bincount(codes, minlength=bins)
        least, greatest = (float(valid.min()), float(valid.max())) if valid.size else (np.inf, -np.inf)
        found.append(BandCounts(counts, least, greatest, whole))
    return found


def windows_of(bands: Sequence[BandCounts]) -> tuple[Windows, list[str]]:
    """The window of each band by its percentiles, and notes about bands that are constant or keep few gray levels."""
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
            notes.append(f"channel {number} holds the value {low:g} only")
            continue
        windows.append((low, high))
        levels = band.levels((low, high))
        if levels < 8:
            notes.append(f"channel {number} keeps {levels} gray levels")
    return tuple(windows), notes


def _codes(values: NDArray[Any]) -> NDArray[np.uint32]:
    """The upper bits of float32 patterns, in the order of the numbers (negative ones are stored in reverse)."""
    with np.errstate(over="ignore"):
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return np.asarray(ordered >> np.uint32(_DROPPED_BITS))


def _values(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The least number of each bin."""
    ordered = codes.astype(np.uint64) << np.uint64(_DROPPED_BITS)
    ordered = np.minimum(ordered, np.uint64(0xFFFFFFFF)).astype(np.uint32)
    bits = np.where(ordered & _SIGN, ordered & ~_SIGN, ~ordered).astype(np.uint32)
    return np.asarray(bits.view(np.float32).astype(np.float64))
