"""Every pair of variants: the paired difference of the mean and of each class, its interval, its test, its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segengine.compare.intervals import Estimate, Floats, Jackknife, estimate, jackknife
from segengine.compare.permutation import MINIMUM_UNITS, flipped, holm, p_of, signs
from segengine.compare.power import Needed, Sources, needed
from segengine.compare.ranking import Ranking, ranking
from segengine.compare.ratios import places, ratios
from segengine.compare.summary import Comparison, Kind, Metric

Verdict = Literal["better", "worse", "practically equal", "not distinguishable", "not tested"]
_SEED = 20_220_831


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

    @property
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
    names = [facts.name for facts in comparison.classes]
    averaged = [k for k, facts in enumerate(comparison.classes) if facts.averaged]
    table = _table(comparison, averaged, metric, kind)
    flips, exact = signs(table.units, choices.resamples, np.random.default_rng(_SEED))
    nulls = [flipped(each, flips) if table.units >= MINIMUM_UNITS else np.zeros((0, 0)) for each in table.variants]
    pairs = list(combinations(range(len(table.variants)), 2))
    estimates = [estimate(table.variants[i], table.variants[j]) for i, j in pairs]
    p = np.array([_p(table, pair, each, nulls, exact) for pair, each in zip(pairs, estimates, strict=True)])
    p = p.reshape(len(pairs), len(names) + 1)
    adjusted = np.full_like(p, np.nan)
    adjusted[:, -1] = holm(p[:, -1])
    if table.tested:
        adjusted[:, table.tested] = holm(p[:, table.tested])
    alpha = (1 - choices.confidence) / max(1, len(pairs))
    rows = []
    for place, (pair, each) in enumerate(zip(pairs, estimates, strict=True)):
        tests = _Tests(each, each.interval(choices.confidence), p[place], adjusted[place], alpha)
        rows += [_row(table, pair, tests, k, choices) for k in (-1, *averaged)]
    ranked = len(table.variants) > 1 and table.units >= MINIMUM_UNITS and len(table.undefined) < len(averaged)
    return Differences(
        metric, kind, choices,
        grouped=table.units < comparison.image_count, images=comparison.image_count, units=table.units, exact=exact,
        undefined=tuple(names[k] for k in table.undefined), rows=tuple(rows),
        ranking=ranking(table.variants, choices.resamples, np.random.default_rng(_SEED)) if ranked else None,
    )  # fmt: skip


def _table(comparison: Comparison, averaged: Sequence[int], metric: Metric, kind: Kind) -> _Table:
    by_variant, place = comparison.units.by_variant(), places(comparison.units.groups)
    sums = [[ratios(unit.stacked, place, metric, kind) for unit in members] for members in by_variant.values()]
    denominators = [b for each in sums for _, b in each]
    defined = np.all([b.sum(axis=0) > 0 for b in denominators], axis=0)
    over = [k for k in averaged if defined[k]]
    units = len(denominators[0])
    held = np.array([np.min([(b > 0).sum(axis=0) for _, b in each], axis=0) for each in sums])
    variants = []
    for each in sums:
        models = [jackknife(a, b, over) for a, b in each]
        variants.append(Jackknife(np.stack([m.scores for m in models]), np.stack([m.influence for m in models])))
    held = np.concatenate([held, np.full((len(held), 1), units)], axis=1)
    undefined = tuple(k for k in averaged if not defined[k])
    classes = tuple(facts.name for facts in comparison.classes)
    return _Table(tuple(by_variant), classes, tuple(variants), held, units, tuple(averaged), undefined)


def _p(table: _Table, pair: tuple[int, int], each: Estimate, nulls: Sequence[Floats], exact: bool) -> Floats:
    """The p [C] by sign flips where it's about models, by the t test with both variances else; NaN where none is made."""
    i, j = pair
    few = np.minimum(table.held[i], table.held[j]) < MINIMUM_UNITS
    if table.units < MINIMUM_UNITS:
        return np.full(few.shape, np.nan)
    p = each.p()
    if _about_models(table, pair):
        p = p_of(each.difference, nulls[i] - nulls[j], p, exact=exact)
    return np.where(few, np.nan, p)


def _about_models(table: _Table, pair: tuple[int, int]) -> bool:
    return min(len(table.variants[i].scores) for i in pair) < 2


@dataclass(frozen=True, eq=False)
class _Tests:
    """What was found of one pair, arrays [C]; `alpha` is the level of a mean's test among all pairs (Bonferroni)."""

    estimate: Estimate
    interval: tuple[Floats, Floats]
    p: Floats
    adjusted: Floats
    alpha: float


def _row(table: _Table, pair: tuple[int, int], found: _Tests, k: int, choices: Choices) -> PairDifference:
    i, j = pair
    models, counts = _about_models(table, pair), (len(table.variants[i].scores), len(table.variants[j].scores))
    p, adjusted, difference = (_plain(x[k]) for x in (found.p, found.adjusted, found.estimate.difference))
    units, seeds, df = (float(x[k]) for x in (found.estimate.units, found.estimate.seeds, found.estimate.df))
    low, high = (float(end[k]) for end in found.interval)
    tested, more = adjusted is not None and difference is not None, None
    verdict: Verdict = "not tested"
    if adjusted is not None and difference is not None:
        verdict = _verdict(low, high, adjusted, choices)
        if verdict == "not distinguishable" and k == -1:
            sources = Sources(units, seeds, table.units, 0 if models else min(counts))
            more = needed(sources, max(abs(difference), choices.margin), found.alpha)
    return PairDifference(
        table.names[i], table.names[j], None if k == -1 else table.classes[k], "models" if models else "variants", counts,
        int(min(table.held[i, k], table.held[j, k])), difference, low if tested else None, high if tested else None,
        units**0.5 if tested else None, seeds**0.5 if tested else None, df if tested else None,
        p, adjusted, verdict, more,
    )  # fmt: skip


def _verdict(low: float, high: float, adjusted: float, choices: Choices) -> Verdict:
    """Equal inside the margin even if a difference is certain: it's too small to matter."""
    if -choices.margin < low and high < choices.margin:
        return "practically equal"
    if adjusted <= 1 - choices.confidence and (low > 0 or high < 0):
        return "better" if low > 0 else "worse"
    return "not distinguishable"


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
