"""Paired tests by exchanging the two variants' names in each unit, and the correction for several tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.statistics.intervals import Floats, Jackknife

MINIMUM_UNITS = 6
"""The fewest units with which a two-sided sign-flip test can give p below 0.05: 2 / 2^6 = 0.03."""


def signs(units: int, resamples: int, rng: np.random.Generator) -> tuple[Floats, bool]:
    """Signs +1 or -1 float64 [R, G], and whether they are all there are (up to the sign of a whole row)."""
    if units - 1 < 63 and 2 ** (units - 1) <= resamples:
        rows = np.arange(2 ** (units - 1))[:, None]
        return np.where((rows >> np.arange(units)) & 1, -1.0, 1.0), True
    return np.where(rng.integers(0, 2, (resamples, units)) == 1, -1.0, 1.0), False


def flipped(variants: Sequence[Jackknife], flips: Floats) -> Floats:
    """What each variant adds to the statistic under each row of signs: float64 [R, V, C].

    The values whose signs change are the jackknife pseudo-values, score + (G - 1) influence (Tukey 1958), whose mean is
    the score; for a mean over images without groups they are the images' own scores.
    """
    units = flips.shape[1]
    pseudo = np.stack([v.scores.mean(axis=0) + (units - 1) * v.influence.mean(axis=0) for v in variants], axis=1)
    return np.asarray((flips @ pseudo.reshape(units, -1) / units).reshape(len(flips), *pseudo.shape[1:]))


def p_of(difference: Floats, under_null: Floats, tail: Floats, *, exact: bool) -> Floats:
    """Two-sided p [..., C] of `difference` [..., C] among what sign flips gave [R, ..., C].

    Random flips count the observed one too (Phipson & Smyth 2010). Where none of them reached it, p is known only to be
    at most 1 / (R + 1); then `tail`, the p of the t test, stands in if it is smaller, so that a correction for many
    tests doesn't need more flips than can be drawn (in the spirit of Knijnenburg et al. 2009).
    """
    reached = (np.abs(under_null) >= np.abs(difference) * (1 - 1e-9) - 1e-15).sum(axis=0)
    if exact:
        p = reached / len(under_null)
    else:
        p = (reached + 1) / (len(under_null) + 1)
        p = np.where(reached == 0, np.minimum(p, tail), p)
    return np.where(np.isnan(difference), np.nan, p)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p of a family of tests, any shape (Holm 1979); NaN is no test."""
    flat = p.ravel()
    tested = np.flatnonzero(~np.isnan(flat))
    order = tested[np.argsort(flat[tested], kind="stable")]
    factors = len(order) - np.arange(len(order))
    result = np.full(flat.shape, np.nan)
    result[order] = np.minimum(1.0, np.maximum.accumulate(flat[order] * factors))
    return result.reshape(p.shape)
