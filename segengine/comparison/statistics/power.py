"""How many more units or seeds would settle a difference: the power of the same test with more of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.statistics.intervals import MINIMUM_SEEDS, Estimate, Floats, Parts, combined

POWER = 0.8
MOST_SEEDS = 100
"""Maximum number of additional seeds per variant that is suggested."""
MOST_TIMES = 100
"""Maximum number of additional units that is suggested, as a multiple of the existing ones."""


@dataclass(frozen=True)
class Needed:
    """More units at these seeds; or more seeds on these units; or, where neither suffices, both. None: no number does."""

    units: int | None
    seeds: int | None
    both: tuple[int, int] | None

    @property
    def realistic(self) -> bool:
        """Whether any number suffices, of at most 100 additional seeds per variant or 100 times as many units."""
        return self.units is not None or self.seeds is not None or self.both is not None


@dataclass(frozen=True, eq=False)
class Sources:
    """The three components of variance of P differences, float64 [P].

    `images`: units alone, with the `unit_count` units at hand, `units_df` the degrees of freedom of the units' part.
    `seed` and `interaction`: what one seed of one variant adds, to all units alike and to each by itself (the latter with
    the units at hand). `counts`: the seeds of each set drawn independently (two variants, or one where seeds are paired);
    empty where a variant has one seed.
    """

    images: Floats
    units_df: Floats
    unit_count: int
    seed: Floats
    interaction: Floats
    counts: tuple[Floats, ...] = ()

    @classmethod
    def of(cls, found: Sequence[Estimate], units: int, column: int = -1) -> Sources:
        """From one column of estimates without leading axes, all with the same number of sets of seeds."""

        def stacked(values: Iterable[Floats | float]) -> Floats:
            return np.array([float(value if np.ndim(value) == 0 else np.asarray(value)[column]) for value in values])

        parts = [each.parts for each in found if each.parts is not None]
        if not parts:
            own = stacked(each.units for each in found)
            return cls(own, stacked(each.df for each in found), units, 0 * own, 0 * own)
        seeds, interaction, counts = (
            tuple(map(stacked, zip(*each, strict=True)))
            for each in ([p.seeds for p in parts], [p.interaction for p in parts], [p.counts for p in parts])
        )
        own, df = stacked(p.units for p in parts), stacked(p.units_df for p in parts)
        return cls.of_parts(Parts(own, df, seeds, interaction, counts, units))

    @classmethod
    def of_parts(cls, parts: Parts) -> Sources:
        """Of P differences, every part [P].

        Both variants' seeds are taken to vary alike: each with a variance of its own would be estimated from too few. What
        they add is scaled to be too large in 60 % of cases; unscaled it would mostly be too small, as the median of a
        chi-squared variable is below its mean. That share was chosen by simulation.
        """
        from scipy.special import chdtri

        free = [np.asarray(count, dtype=np.float64) - 1 for count in parts.counts]
        df = np.sum(free, axis=0)
        total, both = (
            np.sum([f * (f + 1) * each for f, each in zip(free, part, strict=True)], axis=0) / df
            for part in (parts.seeds, parts.interaction)
        )
        seed = np.maximum(total - both, 0.0) * df / chdtri(df, 0.6)
        images = np.maximum(parts.units - np.sum(parts.interaction, axis=0), 0.0)
        counts = tuple(np.broadcast_to(f + 1, images.shape) for f in free)
        return cls(images, parts.units_df, parts.unit_count, seed, both, counts)

    def at(self, rows: NDArray[np.bool_]) -> Sources:
        """The components of a selection of differences."""
        counts = tuple(each[rows] for each in self.counts)
        return Sources(
            self.images[rows], self.units_df[rows], self.unit_count, self.seed[rows], self.interaction[rows], counts
        )


def needed(found: Sequence[Estimate], units: int, margin: float, widths: Floats) -> list[Needed]:
    """More units or seeds that would settle each undecided difference with a power of 80 %, were it just as large as seen.

    Settled is what is found, or shown to be within the margin: whichever takes less. `units`: how many there are;
    `widths` [P]: half of the interval that decided, from which the level that its family of tests left to it follows. With
    two seeds, too, seeds are advised, at least as many as a verdict about training needs. An undecided difference is
    below its critical value, where the power is under 50 %, so that one more image is never the advice.
    """
    result: list[Needed | None] = [None] * len(found)
    sets: dict[int, list[int]] = {}
    for place, each in enumerate(found):
        sets.setdefault(0 if each.parts is None else len(each.parts.seeds), []).append(place)
    for places in sets.values():
        for place, advice in zip(
            places, _needed([found[i] for i in places], units, margin, widths[places]), strict=True
        ):
            result[place] = advice
    return [each for each in result if each is not None]


def _needed(found: Sequence[Estimate], units: int, margin: float, widths: Floats) -> list[Needed]:
    from scipy.special import stdtr, stdtrit

    seen = np.abs([float(each.difference[-1]) for each in found])
    error, df = (np.array([float(getattr(each, name)[-1]) for each in found]) for name in ("error", "df"))
    some = error > 0
    level = np.where(some, 2 * stdtr(df, -widths / np.where(some, error, 1.0)), 0.05)
    level = np.clip(level, 1e-12, 0.05)
    inside = np.maximum(margin - seen, 0.0)
    # Two one-sided tests have the whole level each, as only one of them can be wrong.
    equal = inside / stdtrit(df, 1 - level) > seen / stdtrit(df, 1 - level / 2)
    sources, target, level = Sources.of(found, units), np.where(equal, inside, seen), np.where(equal, 2 * level, level)
    # Where the plan says that the present numbers suffice, it is the degrees of freedom from few seeds that didn't: only
    # more seeds mend that.
    already = power(sources, target, level, units, 0) >= 0.5
    counts = np.min(sources.counts, axis=0) if sources.counts else np.zeros(len(found))
    return [
        Needed(None, max(each.seeds or 0, math.ceil(count / 2)), None) if sure and count else each
        for each, sure, count in zip(more(sources, target, level), already.tolist(), counts.tolist(), strict=True)
    ]


def more(sources: Sources, target: Floats, level: Floats) -> list[Needed]:
    """The smallest numbers with which a true difference `target` [P] is found at `level` [P] with a power of 80 %.

    Computed by bisection, for all differences at once. Where neither more units nor more seeds suffice, both grow
    by the same factor.
    """
    n = sources.unit_count
    units = _least(sources, target, level, MOST_TIMES * n, lambda extra: (n + extra, np.zeros_like(extra)))
    seeds = np.zeros_like(units)
    both = np.zeros((2, len(units)), dtype=np.int64)
    if sources.counts:
        seeds = _least(sources, target, level, MOST_SEEDS, lambda extra: (np.full_like(extra, n), extra))
        open_ = (units == 0) & (seeds == 0)
        each = n / np.min(sources.counts, axis=0)[open_]

        def grown(extra: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            return n + np.ceil(each * extra).astype(np.int64), extra

        found = _least(sources.at(open_), target[open_], level[open_], MOST_SEEDS, grown)
        both[:, open_] = grown(found)[0] - n, found
    return [
        Needed(u or None, s or None, (a, b) if b else None)
        for u, s, a, b in zip(units.tolist(), seeds.tolist(), *both.tolist(), strict=True)
    ]


def power(
    sources: Sources,
    target: Floats,
    level: Floats,
    units: NDArray[np.int64] | int,
    extra_seeds: NDArray[np.int64] | int,
) -> Floats:
    """The chance [P] that the test with `units` units and `extra_seeds` more seeds per variant finds `target`.

    The test is that of `intervals.combined`, its components of variance as estimated. An average over what they might be,
    given so few seeds, asked for three times as many seeds as were needed (docs/statistics.md has the simulation).
    """
    from scipy.special import stdtr, stdtrit

    kept = sources.unit_count / np.broadcast_to(units, target.shape)
    df = np.minimum(sources.units_df / kept, sources.unit_count / kept - 1.0)
    variance = sources.images * kept
    if sources.counts:
        counts = tuple(np.maximum(count + extra_seeds, 2.0) for count in sources.counts)
        both = tuple(sources.interaction * kept / count for count in counts)
        seeds = tuple(sources.seed / count + each for count, each in zip(counts, both, strict=True))
        own = variance + np.sum(both, axis=0)
        variance, df = combined(Parts(own, df, seeds, both, counts, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(target > 0, target / np.sqrt(variance), 0.0)
    chance = stdtr(df, np.minimum(shift, 1e6) - stdtrit(df, 1 - level / 2))
    if sources.counts:
        few = np.min(sources.counts, axis=0) + extra_seeds < MINIMUM_SEEDS
        chance = np.where(few, 0.0, chance)
    return np.asarray(chance)


def _least(
    sources: Sources, target: Floats, level: Floats, most: int,
    trial: Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> NDArray[np.int64]:  # fmt: skip
    """The smallest numbers [P] in 1..`most` with a power of at least 80 %, which must not decrease; 0 if there is none.

    `trial` returns units and additional seeds for each number.
    """
    high = np.full(len(target), most, dtype=np.int64)
    low = np.zeros_like(high)
    possible = (target > 0) & (power(sources, target, level, *trial(high)) >= POWER)
    while (high - low > 1).any():
        middle = np.where(high - low > 1, (low + high) // 2, high)
        enough = power(sources, target, level, *trial(middle)) >= POWER
        low, high = np.where(enough, low, np.minimum(middle, high - 1)), np.where(enough, middle, high)
    return np.where(possible, high, 0)
