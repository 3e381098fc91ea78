"""How many more units or seeds would show a difference: the power of the test with more of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """The three components of variance of P differences, float64 [P], as contributions with the units and seeds at hand.

    `images`: units alone, `seeds` and `interaction` of each set of independent seeds (see `intervals.Parts`), `counts`
    their seeds; none where a variant has one seed. `units_df`: degrees of freedom of the units' part at `unit_count`.
    """

    images: Floats
    units_df: Floats
    unit_count: int
    seeds: tuple[Floats, ...] = ()
    interaction: tuple[Floats, ...] = ()
    counts: tuple[Floats, ...] = ()

    @classmethod
    def of(cls, found: Sequence[Estimate], units: int, column: int = -1) -> Sources:
        """Of one column of estimates without leading axes, all with the same number of sets of seeds."""

        def stacked(values: Iterable[Floats | float]) -> Floats:
            return np.array([float(np.asarray(value)) for value in values])

        parts = [each.parts for each in found if each.parts is not None]
        if not parts:
            return cls(stacked(each.units[column] for each in found), stacked(each.df[column] for each in found), units)
        sets = range(len(parts[0].seeds))
        interaction = tuple(stacked(each.interaction[s][column] for each in parts) for s in sets)
        seeds = tuple(
            np.maximum(stacked(each.seeds[s][column] for each in parts) - i, 0.0)
            for s, i in zip(sets, interaction, strict=True)
        )
        images = np.maximum(stacked(each.units[column] for each in parts) - sum(interaction), 0.0)
        counts = tuple(stacked(each.counts[s] for each in parts) for s in sets)
        return cls(images, stacked(each.units_df[column] for each in parts), units, seeds, interaction, counts)

    def at(self, rows: NDArray[np.bool_]) -> Sources:
        """Of some of the differences."""
        parts = [tuple(each[rows] for each in part) for part in (self.seeds, self.interaction, self.counts)]
        return Sources(self.images[rows], self.units_df[rows], self.unit_count, *parts)


def needed(found: Sequence[Estimate], units: int, margin: float, widths: Floats) -> list[Needed]:
    """More units or seeds to find the differences seen, or one of the margin if that is larger, with a power of 80 %.

    `units`: how many there are; `widths` [P]: half of the interval that decided, from which the level that its family of
    tests left to it follows. With two seeds, too, seeds are advised, at least as many as a verdict about training needs.
    Where a difference as large as the margin would be found already, it is the difference seen that isn't.
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
    from scipy.special import stdtr

    sources = Sources.of(found, units)
    seen = np.abs([float(each.difference[-1]) for each in found])
    error, df = (np.array([float(getattr(each, name)[-1]) for each in found]) for name in ("error", "df"))
    some = error > 0
    level = np.where(some, 2 * stdtr(df, -widths / np.where(some, error, 1.0)), 0.05)
    level = np.clip(level, 1e-12, 0.05)
    target = np.maximum(seen, margin)
    already = (seen < margin) & (power(sources, target, level, sources.unit_count, 0) >= POWER)
    return more(sources, np.where(already, seen, target), level)


def more(sources: Sources, target: Floats, level: Floats) -> list[Needed]:
    """The least numbers with which a true difference of `target` [P] is found at `level` [P] with a power of 80 %.

    They are found by bisection, for all differences together.
    """
    n = sources.unit_count
    units = _least(sources, target, level, MOST_TIMES * n, lambda extra: (n + extra, np.zeros_like(extra)))
    seeds, both = np.zeros_like(units), np.zeros_like(units)
    if sources.counts:
        seeds = _least(sources, target, level, MOST_SEEDS, lambda extra: (np.full_like(extra, n), extra))
        open_ = (units == 0) & (seeds == 0)
        both[open_] = _least(
            sources.at(open_), target[open_], level[open_], MOST_SEEDS, lambda extra: (n + -(-n * extra // 4), extra)
        )
    return [
        Needed(u or None, s or None, (-(-n * b // 4), b) if b else None)
        for u, s, b in zip(units.tolist(), seeds.tolist(), both.tolist(), strict=True)
    ]


def power(
    sources: Sources,
    target: Floats,
    level: Floats,
    units: NDArray[np.int64] | int,
    extra_seeds: NDArray[np.int64] | int,
) -> Floats:
    """The chance [P] that the test with `units` units and `extra_seeds` more seeds per variant finds `target`.

    Averaged over what the variance between seeds may be, given what it was estimated as from few of them: its degrees of
    freedom times the estimate over a chi-squared variable. The test is that of `intervals.combined` with expected parts.
    """
    from scipy.special import stdtr, stdtrit

    kept = sources.unit_count / np.broadcast_to(units, target.shape)
    df = np.minimum(sources.units_df / kept, sources.unit_count / kept - 1.0)
    if not sources.counts:
        variance, joint = (sources.images * kept)[:, None], df[:, None]
    else:
        variance, joint = _with_seeds(sources, kept, df, np.broadcast_to(extra_seeds, target.shape))
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(target[:, None] > 0, target[:, None] / np.sqrt(variance), 0.0)
    chance = stdtr(joint, np.minimum(shift, 1e6) - stdtrit(joint, 1 - level[:, None] / 2)).mean(axis=1)
    if sources.counts:
        few = np.min(sources.counts, axis=0) + extra_seeds < MINIMUM_SEEDS
        chance = np.where(few, 0.0, chance)
    return np.asarray(chance)


def _with_seeds(sources: Sources, kept: Floats, df: Floats, extra_seeds: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Variance and degrees of freedom [P, Q] over the quantiles of what the variance between seeds may be.

    `kept` [P]: units at hand over those that there would be; `df` [P]: degrees of freedom of the units' part.
    """
    from scipy.special import chdtri

    total = [s + i for s, i in zip(sources.seeds, sources.interaction, strict=True)]
    spread = sum(t**2 / (c - 1) for t, c in zip(total, sources.counts, strict=True))
    old = sum(total) ** 2 / np.maximum(spread, 1e-300)
    some = old > 0
    stretch = old[:, None] / chdtri(np.where(some, old, 1.0)[:, None], 1 - _QUANTILES)
    stretch = np.where(some[:, None], stretch, 1.0)
    counts = [np.maximum(c + extra_seeds, 2) for c in sources.counts]
    ratio = [(old_count / count)[:, None] for old_count, count in zip(sources.counts, counts, strict=True)]
    both = [
        np.broadcast_to(i[:, None] * r * kept[:, None], stretch.shape)
        for i, r in zip(sources.interaction, ratio, strict=True)
    ]
    seeds = [
        np.maximum(t[:, None] * stretch - i[:, None], 0.0) * r + b
        for t, i, r, b in zip(total, sources.interaction, ratio, both, strict=True)
    ]
    own = (sources.images * kept)[:, None] + sum(both)
    each = tuple(count[:, None] for count in counts)
    return combined(Parts(own, np.broadcast_to(df[:, None], own.shape), tuple(seeds), tuple(both), each, 0))


def _least(
    sources: Sources, target: Floats, level: Floats, most: int,
    trial: Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> NDArray[np.int64]:  # fmt: skip
    """The smallest numbers [P] from 1 to `most` with at least 80 % where more is never worse; 0 where none has that.

    `trial` gives units and additional seeds of each number.
    """
    high = np.full(len(target), most, dtype=np.int64)
    low = np.zeros_like(high)
    possible = (target > 0) & (power(sources, target, level, *trial(high)) >= POWER)
    while (high - low > 1).any():
        middle = np.where(high - low > 1, (low + high) // 2, high)
        enough = power(sources, target, level, *trial(middle)) >= POWER
        low, high = np.where(enough, low, np.minimum(middle, high - 1)), np.where(enough, middle, high)
    return np.where(possible, high, 0)
