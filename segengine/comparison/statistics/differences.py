"""Every pair of variants: the paired difference of the mean and of each class, its interval, its test, its verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.measures import SHARE, Kind, Measure, Metric
from segengine.comparison.statistics.intervals import Floats, Jackknife, estimate, jackknife
from segengine.comparison.statistics.permutation import MINIMUM_UNITS, flipped, holm, p_of, signs
from segengine.comparison.statistics.power import Needed, Sources, needed
from segengine.comparison.statistics.ranking import Ranking, ranking
from segengine.comparison.statistics.ratios import places, unit_ratios
from segengine.comparison.summary import Comparison

Verdict = Literal["better", "worse", "practically equal", "not distinguishable", "not tested"]
_TURNED: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
_SEED = 20_220_831
_PARTS = ("scores", "influence")
_AT_ONCE = 8


@dataclass(frozen=True)
class Choices:
    """What the user may choose: the margin within which scores are practically equal (0..1), resamples, confidence."""

    margin: float = 0.005
    resamples: int = 2000
    confidence: float = 0.95


DEFAULTS = Choices()


@dataclass(frozen=True)
class PairDifference:
    """One difference first - second, of the mean (`score` None) or of a class; None where it is undefined or untested.

    `about`: "models" where one of the two has a single seed, else "variants". `units`: groups or images that have the
    class. `sd_units` and `sd_seeds` are the two parts of the standard error. `p_holm` decides, with the interval.
    """

    first: str
    second: str
    score: str | None
    about: Literal["models", "variants"]
    seeds: tuple[int, int]
    units: int
    difference: float | None
    low: float | None
    high: float | None
    sd_units: float | None
    sd_seeds: float | None
    df: float | None
    p: float | None
    p_holm: float | None
    verdict: Verdict
    needed: Needed | None

    def seen_from(self, first: str) -> PairDifference:
        """The same difference with `first` as the first of the pair."""
        if self.first == first:
            return self
        difference, low, high = (None if x is None else -x for x in (self.difference, self.high, self.low))
        return replace(
            self, first=self.second, second=self.first, seeds=self.seeds[::-1], difference=difference, low=low, high=high,
            verdict=_TURNED.get(self.verdict, self.verdict),
        )  # fmt: skip


@dataclass(frozen=True)
class Differences:
    """All differences of one metric of one kind; pairs in the order of the variants, the mean before its classes."""

    metric: Metric
    kind: Kind
    choices: Choices
    grouped: bool
    images: int
    units: int
    exact: bool
    undefined: tuple[str, ...]
    rows: tuple[PairDifference, ...]
    ranking: Ranking | None
    measure: Measure = SHARE

    @cached_property
    def means(self) -> tuple[PairDifference, ...]:
        return tuple(row for row in self.rows if row.score is None)


@dataclass(frozen=True, eq=False)
class _Table:
    """All variants' scores, each [S, ...] with a column for each class and the mean; `held` [V, C] units by variant."""

    names: tuple[str, ...]
    classes: tuple[str, ...]
    variants: tuple[Jackknife, ...]
    held: NDArray[np.int64]
    units: int
    tested: tuple[int, ...]
    undefined: tuple[int, ...]


def differences(comparison: Comparison, metric: Metric, kind: Kind, choices: Choices = DEFAULTS) -> Differences:
    """Compare all pairs of variants. The same counts and choices give the same result to the last digit."""
    averaged = [k for k, facts in enumerate(comparison.classes) if facts.averaged]
    table = _table(comparison, averaged, metric, kind)
    flips, exact = signs(table.units, choices.resamples, np.random.default_rng(_SEED))
    pairs = list(combinations(range(len(table.variants)), 2))
    found = _tests(table, flips, choices, exact=exact)
    adjusted = np.full_like(found.p, np.nan)
    adjusted[:, -1] = holm(found.p[:, -1])
    if table.tested:
        adjusted[:, table.tested] = holm(found.p[:, table.tested])
    measure = comparison.measure(metric)
    alpha = (1 - choices.confidence) / max(1, len(pairs))
    cells = [a.tolist() for a in (*found.estimate, *found.interval, found.p, adjusted)]
    rows = [
        _row(table, pair, _Cell(*(cell[place][k] for cell in cells)), k, choices, alpha=alpha, sign=measure.sign)
        for place, pair in enumerate(pairs)
        for k in (-1, *averaged)
    ]
    known = all(np.isfinite(each.scores[:, -1]).all() for each in table.variants)
    ranked = len(table.variants) > 1 and table.units >= MINIMUM_UNITS and known
    return Differences(
        metric, kind, choices,
        grouped=table.units < comparison.image_count, images=comparison.image_count, units=table.units, exact=exact,
        undefined=tuple(comparison.classes[k].name for k in table.undefined), rows=tuple(rows),
        ranking=ranking(table.variants, choices.resamples, np.random.default_rng(_SEED), sign=measure.sign) if ranked else None,
        measure=measure,
    )  # fmt: skip


def _table(comparison: Comparison, averaged: Sequence[int], metric: Metric, kind: Kind) -> _Table:
    by_variant, place = comparison.units.by_variant(), places(comparison.units.groups)
    sums = [[unit_ratios(unit, place, metric, kind) for unit in members] for members in by_variant.values()]
    denominators = [b for each in sums for _, b in each]
    defined = np.array([np.all([b.sum(axis=0) > 0 for _, b in each], axis=0) for each in sums])[:, averaged]
    everywhere = np.atleast_1d(defined[defined.any(axis=1)].all(axis=0)) & defined.any()
    over = [k for k, there in zip(averaged, everywhere.tolist(), strict=True) if there]
    units = len(denominators[0])
    held = np.array([np.min([(b > 0).sum(axis=0) for _, b in each], axis=0) for each in sums])
    variants = []
    for each in sums:
        models = [jackknife(a, b, over) for a, b in each]
        variants.append(Jackknife(np.stack([m.scores for m in models]), np.stack([m.influence for m in models])))
    held = np.concatenate([held, np.full((len(held), 1), units)], axis=1)
    undefined = tuple(k for k in averaged if k not in over)
    classes = tuple(facts.name for facts in comparison.classes)
    return _Table(tuple(by_variant), classes, tuple(variants), held, units, tuple(averaged), undefined)


@dataclass(frozen=True, eq=False)
class _Tests:
    """What was found of all pairs, arrays [P, C]: difference, variances by units and by seeds, df; interval; p."""

    estimate: tuple[Floats, Floats, Floats, Floats]
    interval: tuple[Floats, Floats]
    p: Floats


def _tests(table: _Table, flips: Floats, choices: Choices, *, exact: bool) -> _Tests:
    """Estimates, intervals and p of every pair, in the order of `combinations`; one variant against many at a time.

    The p is that of sign flips where it's about models, of the t test with both variances else, NaN where none is made.
    """
    counts = np.array([len(each.scores) for each in table.variants])
    nulls = None
    if table.units >= MINIMUM_UNITS:
        nulls = np.ascontiguousarray(flipped(table.variants, flips).swapaxes(0, 1))
    several = len(counts) * (len(counts) - 1) // 2
    out = np.full((7, several, table.held.shape[1]), np.nan)
    start = 0
    for i in range(len(counts) - 1):
        for others in _alike(counts, i + 1):
            second = Jackknife(*(np.stack([getattr(table.variants[j], part) for j in others]) for part in _PARTS))
            each = estimate(table.variants[i], second)
            low, high = each.interval(choices.confidence)
            p = np.full_like(each.difference, np.nan)
            if nulls is not None:
                p = each.p()
                if min(counts[i], counts[others[0]]) < 2:
                    under_null = (nulls[i] - nulls[others]).swapaxes(0, 1)
                    p = p_of(each.difference, under_null, p, exact=exact)
                p = np.where(np.minimum(table.held[i], table.held[others]) < MINIMUM_UNITS, np.nan, p)
            rows = start + others - i - 1
            out[:, rows] = each.difference, each.units, each.seeds, each.df, low, high, p
        start += len(counts) - i - 1
    return _Tests((out[0], out[1], out[2], out[3]), (out[4], out[5]), out[6])


def _alike(counts: NDArray[np.int64], start: int) -> Iterator[NDArray[np.int64]]:
    """The variants from `start` on in parts with equal numbers of seeds, small enough for a processor's cache."""
    for count in np.unique(counts[start:]):
        places = start + np.flatnonzero(counts[start:] == count)
        for first in range(0, len(places), _AT_ONCE):
            yield places[first : first + _AT_ONCE]


class _Cell(NamedTuple):
    """One difference of one pair, as plain numbers; NaN where undefined or untested."""

    difference: float
    units: float
    seeds: float
    df: float
    low: float
    high: float
    p: float
    adjusted: float


def _row(
    table: _Table, pair: tuple[int, int], found: _Cell, k: int, choices: Choices, *, alpha: float, sign: int
) -> PairDifference:
    """`alpha` is the level of a mean's test among all pairs (Bonferroni); `sign` is -1 where lower is better."""
    i, j = pair
    counts = len(table.variants[i].scores), len(table.variants[j].scores)
    models = min(counts) < 2
    tested, more = not math.isnan(found.adjusted) and not math.isnan(found.difference), None
    verdict: Verdict = "not tested"
    if tested:
        verdict = _verdict(found.low, found.high, found.adjusted, choices, sign)
        if verdict == "not distinguishable" and k == -1:
            sources = Sources(found.units, found.seeds, table.units, 0 if models else min(counts))
            more = needed(sources, max(abs(found.difference), choices.margin), alpha)
    return PairDifference(
        table.names[i], table.names[j], None if k == -1 else table.classes[k], "models" if models else "variants", counts,
        int(min(table.held[i, k], table.held[j, k])), _plain(found.difference), found.low if tested else None,
        found.high if tested else None, found.units**0.5 if tested else None, found.seeds**0.5 if tested else None,
        found.df if tested else None, _plain(found.p), _plain(found.adjusted), verdict, more,
    )  # fmt: skip


def _verdict(low: float, high: float, adjusted: float, choices: Choices, sign: int) -> Verdict:
    """Equal inside the margin even if a difference is certain: it's too small to matter."""
    if -choices.margin < low and high < choices.margin:
        return "practically equal"
    if adjusted <= 1 - choices.confidence and (low > 0 or high < 0):
        return "better" if (low > 0) == (sign > 0) else "worse"
    return "not distinguishable"


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
