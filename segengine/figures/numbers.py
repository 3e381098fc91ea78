"""Formatting of scores, counts and durations; undefined values are shown as a dash."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

DASH = "–"


def finite(value: Any) -> float | None:
    """The value as a float; None if it is missing, not numeric, NaN or infinite."""
    if value is None or isinstance(value, bool | str):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def score(value: Any, digits: int = 3) -> str:
    """A score in 0..1 with `digits` decimals; a dash if it is undefined."""
    number = finite(value)
    return DASH if number is None else f"{number:.{digits}f}"


def count(value: Any) -> str:
    """A number rounded to an integer, with thin spaces between groups of three digits, `12 345 678`; a dash if it is missing."""
    number = finite(value)
    return DASH if number is None else f"{round(number):,}".replace(",", "\u202f")


def compact(value: int) -> str:
    """A count in at most four characters: 950, 9.5k, 12k, 3.4M."""
    for limit, divisor, unit in ((1e3, 1, ""), (1e6, 1e3, "k"), (1e9, 1e6, "M"), (math.inf, 1e9, "G")):
        # 999 500 would be rounded to "1000k", so it already uses the next unit.
        if value < limit * (0.9995 if divisor > 1 else 1):
            shown = value / divisor
            return f"{shown:.1f}{unit}" if unit and shown < 9.95 else f"{shown:.0f}{unit}"
    raise AssertionError("math.inf bounds every count")


def duration(seconds: Any) -> str:
    """A duration in seconds as `42 s`, `12 min 30 s` or `3 h 05 min`; a dash if it is missing."""
    number = finite(seconds)
    if number is None:
        return DASH
    whole = round(number)
    if whole < 60:
        return f"{number:.1f} s" if number < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """A count with its noun in singular or plural: `1 image`, `12 images`, `5 classes`."""
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def row_shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """A confusion matrix int64 [K, K] normalised by row, float64 [K, K]; NaN in rows that sum to 0."""
    totals = confusion.sum(axis=1, keepdims=True).astype(np.float64)
    shares: NDArray[np.float64] = np.full(confusion.shape, np.nan)
    np.divide(confusion, totals, out=shares, where=totals > 0)
    return shares
