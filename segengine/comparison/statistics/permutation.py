"""Exchange tests: results of two variants are swapped in random units, jointly for all pairs, and scores are recomputed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.statistics.intervals import Floats

MINIMUM_UNITS = 6
"""Minimum number of units with which a two-sided exchange test can reach p < 0.05: 2 / 2^6 = 0.03."""
_AT_ONCE = 2048
_TIE = 1e-9
"""Relative tolerance within which two statistics count as tied."""


def exact_count(units: int, resamples: int) -> int | None:
    """The number of distinct exchanges of `units`; None if it exceeds `resamples`."""
    return 2 ** (units - 1) if units - 1 < 63 and 2 ** (units - 1) <= resamples else None


def signs(units: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Signs +1 or -1, float64 [R, G], in chunks of at most 2,048 rows: all distinct ones (up to the sign of a row), or random ones.

    -1 swaps the two variants in that unit. Signs are reproducible for the same arguments.
    """
    exact = exact_count(units, resamples)
    rng = np.random.default_rng(seed)
    for start in range(0, exact or resamples, _AT_ONCE):
        count = min(_AT_ONCE, (exact or resamples) - start)
        if exact is None:
            yield np.where(rng.integers(0, 2, (count, units), dtype=np.int8) == 1, -1.0, 1.0)
        else:
            rows = np.arange(start, start + count)[:, None]
            yield np.where((rows >> np.arange(units)) & 1, -1.0, 1.0)


def exchanged(sums: tuple[Floats, Floats], swapped: tuple[Floats, Floats]) -> Floats:
    """Differences of two ratios after exchanges, float64 [R, ...].

    With a and b the numerators and denominators of both variants in unit g, and s_g the signs: `sums` [...] are
    sum_g (a_1 + a_2) and sum_g (b_1 + b_2), `swapped` [R, ...] are sum_g s_g (a_1 - a_2) and sum_g s_g (b_1 - b_2). The
    result is (A + x) / (B + y) - (A - x) / (B - y). All signs +1 give the difference itself.
    """
    (a, b), (x, y) = sums, swapped
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2 * (x * b - a * y) / (b * b - y * y))


@dataclass(frozen=True, eq=False)
class Null:
    """Null distribution of the maximum statistic of a family: sorted float64 [R]; `exact`: it contains all exchanges."""

    maxima: Floats
    exact: bool

    def p(self, statistic: Floats) -> Floats:
        """Single-step adjusted p of each statistic (Westfall & Young 1993).

        The fraction of exchanges whose maximum reaches it. For random exchanges, the upper end of the 95 % interval of this
        fraction (Clopper & Pearson 1934), so that verdicts do not depend on the random exchanges.
        """
        reached = len(self.maxima) - np.searchsorted(self.maxima, np.abs(statistic) * (1 - _TIE), side="left")
        return p_value(reached, len(self.maxima), exact=self.exact)

    def critical(self, level: float) -> float:
        """The critical value: `p` is at most `level` for larger statistics; infinite if no statistic can reach it."""
        count = len(self.maxima)
        reached = allowed(count, level, exact=self.exact)
        return np.inf if reached is None else float(self.maxima[max(count - reached - 1, 0)]) * (1 + _TIE)


@lru_cache
def allowed(count: int, level: float, *, exact: bool) -> int | None:
    """Maximum number of `count` exchanges that may reach a statistic with p at most `level`; None if there is none."""
    low, high = -1, int(level * count) + 1
    while high - low > 1:
        middle = (low + high) // 2
        found = p_value(np.array([middle]), count, exact=exact)[0] <= level
        low, high = (middle, high) if found else (low, middle)
    return low if low >= 0 else None


def p_value(reached: NDArray[np.int64], count: int, *, exact: bool) -> Floats:
    """P of a statistic that `reached` of `count` exchanges reach: exact, or its upper confidence limit."""
    from scipy.special import betaincinv

    if exact:
        return np.asarray(np.minimum(1.0, reached / count))
    upper = betaincinv(np.minimum(reached, count - 1) + 1, np.maximum(count - reached, 1), 0.975)
    return np.asarray(np.where(reached >= count, 1.0, upper))


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm-adjusted p values of a family of tests, any shape (Holm 1979); NaN: not a test."""
    flat = p.ravel()
    tested = np.flatnonzero(~np.isnan(flat))
    order = tested[np.argsort(flat[tested], kind="stable")]
    factors = len(order) - np.arange(len(order))
    result = np.full(flat.shape, np.nan)
    result[order] = np.minimum(1.0, np.maximum.accumulate(flat[order] * factors))
    return result.reshape(p.shape)
