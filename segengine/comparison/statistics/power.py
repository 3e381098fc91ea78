"""How many more units or seeds would show a difference: the power of the test with more of both."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from segengine.comparison.statistics.intervals import MINIMUM_SEEDS, Estimate, Floats, Parts, combined

POWER = 0.8
MOST_SEEDS = 100
"""The most additional seeds per variant that are advised."""
MOST_TIMES = 100
"""The most additional units that are advised, in multiples of those there are."""
_QUANTILES = (np.arange(20) + 0.5) / 20


@dataclass(frozen=True)
class Needed:
    """What would do: more units at these seeds, or more seeds on these units; or only both. None: it can't alone."""

    units: int | None
    seeds: int | None
    both: tuple[int, int] | None

    @property
    def realistic(self) -> bool:
        """Whether any number would do: at most 100 more seeds per variant, or 100 times as many units."""
        return self.units is not None or self.seeds is not None or self.both is not None


@dataclass(frozen=True, eq=False)
class Sources:
    """The three components of variance of one difference, as contributions with the units and seeds at hand.

    `images`: units alone, `seeds` and `interaction` of each set of independent seeds (see `intervals.Parts`), `counts`
    their seeds; none where a variant has one seed. `units_df`: degrees of freedom of the units' part at `unit_count`.
    """

    images: float
    units_df: float
    unit_count: int
    seeds: tuple[float, ...] = ()
    interaction: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @classmethod
    def of(cls, found: Estimate, column: int = -1) -> Sources:
        """Of one column of an estimate without leading axes."""
        if found.parts is None:
            return cls(float(found.units[column]), float(found.df[column]), len(found.influence))
        parts, k = found.parts, column
        interaction = tuple(float(each[k]) for each in parts.interaction)
        seeds = tuple(max(float(s[k]) - i, 0.0) for s, i in zip(parts.seeds, interaction, strict=True))
        images = max(float(parts.units[k]) - sum(interaction), 0.0)
        return cls(images, float(parts.units_df[k]), parts.unit_count, seeds, interaction, parts.counts)


def needed(found: Estimate, margin: float, width: float) -> Needed:
    """More units or seeds to find the difference seen, or one of the margin if that is larger, with a power of 80 %.

    `width`: half of the interval that decided, from which the level that its family of tests left to it follows. With two seeds, too, seeds
    are advised, at least as many as a verdict about training needs. Where a
    difference as large as the margin would be found already, it is the difference seen that isn't.
    """
    from scipy.special import stdtr

    sources, seen = Sources.of(found), abs(float(found.difference[-1]))
    error, df = float(found.error[-1]), float(found.df[-1])
    level = float(2 * stdtr(df, -width / error)) if error > 0 else 0.05
    level = min(max(level, 1e-12), 0.05)
    target = max(seen, margin)
    if seen < margin and power(sources, target, level, sources.unit_count, 0) >= POWER:
        target = seen
    return more(sources, target, level)


def more(sources: Sources, target: float, level: float) -> Needed:
    """The least numbers with which a true difference of `target` is found at `level` with a power of 80 %."""
    if not target > 0:
        return Needed(None, None, None)
    n = sources.unit_count
    most = MOST_TIMES * n
    units = _least(lambda extra: power(sources, target, level, n + extra, 0), most)
    if not sources.counts:
        return Needed(units, None, None)
    seeds = _least(lambda extra: power(sources, target, level, n, extra), MOST_SEEDS)
    if units is not None or seeds is not None:
        return Needed(units, seeds, None)
    step = _least(lambda extra: power(sources, target, level, n + math.ceil(n * extra / 4), extra), MOST_SEEDS)
    return Needed(None, None, None if step is None else (math.ceil(n * step / 4), step))


def power(sources: Sources, target: float, level: float, units: int, extra_seeds: int) -> float:
    """The chance that the test with `units` units and `extra_seeds` more seeds per variant finds `target`.

    Averaged over what the variance between seeds may be, given what it was estimated as from few of them: its degrees of
    freedom times the estimate over a chi-squared variable. The test is that of `intervals.combined` with expected parts.
    """
    from scipy.special import chdtri, stdtr, stdtrit

    kept = sources.unit_count / units
    df = min(sources.units_df / kept, units - 1.0)
    if not sources.counts:
        variance: Floats = np.full(1, sources.images * kept)
        joint: Floats = np.full(1, df)
    else:
        total = [s + i for s, i in zip(sources.seeds, sources.interaction, strict=True)]
        old = sum(total) ** 2 / max(sum(t**2 / (c - 1) for t, c in zip(total, sources.counts, strict=True)), 1e-300)
        stretch = old / chdtri(old, 1 - _QUANTILES) if old > 0 else np.ones(len(_QUANTILES))
        counts = tuple(c + extra_seeds for c in sources.counts)
        if min(counts) < MINIMUM_SEEDS:
            return 0.0
        ratio = [old_count / count for old_count, count in zip(sources.counts, counts, strict=True)]
        both = tuple(np.full(len(stretch), i * r * kept) for i, r in zip(sources.interaction, ratio, strict=True))
        seeds = tuple(
            np.maximum(t * stretch - i, 0.0) * r + b
            for t, i, r, b in zip(total, sources.interaction, ratio, both, strict=True)
        )
        own = sources.images * kept + sum(both)
        variance, joint = combined(Parts(np.asarray(own), np.full(len(stretch), df), seeds, both, counts, units))
    with np.errstate(divide="ignore"):
        shift = target / np.sqrt(variance)
    return float(stdtr(joint, np.minimum(shift, 1e6) - stdtrit(joint, 1 - level / 2)).mean())


def _least(chance: Callable[[int], float], most: int) -> int | None:
    """The smallest number from 1 to `most` with at least 80 %, where more is never worse."""
    if chance(most) < POWER:
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= POWER else (middle, high)
    return high
