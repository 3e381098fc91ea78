"""Paired differences of all pairs of variants, of the mean and of each class, with intervals, tests and verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from segengine.comparison.measures import SHARE, Kind, Measure
from segengine.comparison.statistics.family import Half, Rules
from segengine.comparison.statistics.intervals import (
    Estimate,
    Floats,
    Jackknife,
    jackknife,
)
from segengine.comparison.statistics.pair_estimates import Pair, judge_pairs
from segengine.comparison.statistics.permutation import MINIMUM_UNITS, holm
from segengine.comparison.statistics.power import Needed, needed
from segengine.comparison.statistics.ranking import Ranking, ranking
from segengine.comparison.statistics.sample import Sample
from segengine.errors import ComparisonError

Verdict = Literal["better", "worse", "practically equal", "not distinguishable", "not tested"]
Reason = Literal["", "too few units", "scarce class", "undefined", "too few seeds"]
Claim = Literal["models", "training", "training within folds"]
_TURNED: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
_SEED = 20_220_831


@dataclass(frozen=True)
class Choices:
    """User settings: margin of practical equality (0..1), number of resamples, confidence.

    Raises:
        ComparisonError: the margin is negative or not a finite number, or the others are out of range.
    """

    margin: float = 0.005
    resamples: int = 2000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise ComparisonError(f"the margin is {self.margin:g}; give a finite number from 0")
        if not (0 < self.confidence < 1 and self.resamples >= 1):
            raise ComparisonError(
                f"confidence {self.confidence:g} or {self.resamples} resamples: not a share or a count"
            )


DEFAULTS = Choices()


@dataclass(frozen=True)
class PairDifference:
    """One difference first - second, of the mean (`score` None) or of a class; None where undefined or not tested.

    `low`, `high`: simultaneous interval of its family (the means of all pairs; or all pairs and classes). It excludes 0 if
    and only if the verdict is better or worse, and if and only if `p_adjusted` <= 1 - confidence. `single_low`,
    `single_high`: t interval of this difference alone. `p` is unadjusted; `p_holm` is Holm's adjustment of it, for reference.
    `p_equal`: p of two one-sided tests that the difference exceeds the margin, adjusted like `p_adjusted`;
    `within_margin`: whether it is at most 1 - confidence, which is possible for a proven difference too. Intervals are clipped
    to possible values.

    `about`: "models" if one of the two has fewer than 3 seeds, or fewer than 10 units have the class (for a mean, its scarcest
    class), else "variants"; `claim`: whether cross-validation folds, which share training images, limit the latter.
    `units`: number of groups or images with the class, for a mean with its scarcest class, which is `scarce` if it is not in all
    units. `sd_units` and `sd_seeds`: parts of the standard error from units and from seeds. `reason`: why there is no test
    ("too few units", "scarce class", "undefined"), or "too few seeds" if the interval is wider than the possible range.
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
    p_adjusted: float | None = None
    single_low: float | None = None
    single_high: float | None = None
    p_equal: float | None = None
    within_margin: bool = False
    reason: Reason = ""
    scarce: str | None = None
    claim: Claim = "models"

    def seen_from(self, first: str) -> PairDifference:
        """The difference with `first` as the first of the pair."""
        if self.first == first:
            return self
        ends = (self.difference, self.high, self.low, self.single_high, self.single_low)
        difference, low, high, single_low, single_high = (None if x is None else -x for x in ends)
        return replace(
            self, first=self.second, second=self.first, seeds=self.seeds[::-1], difference=difference, low=low, high=high,
            single_low=single_low, single_high=single_high, verdict=_TURNED.get(self.verdict, self.verdict),
        )  # fmt: skip


@dataclass(frozen=True)
class Differences:
    """All differences of one metric of one kind; pairs in the order of the variants, the mean before its classes.

    `exact`: all exchanges of units were computed, not a random sample. `undefined`: averaged classes that are excluded.
    """

    metric: str
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
class Judged:
    """All pairs of a sample: rows of PairDifference, and the ranking. See `judge_sample`."""

    rows: tuple[PairDifference, ...]
    ranking: Ranking | None
    undefined: tuple[str, ...]
    exact: bool


def judge_sample(sample: Sample, choices: Choices = DEFAULTS) -> Judged:
    """Compare all pairs of variants; results are bit-identical for the same arrays and choices."""
    columns, rules = list(sample.compared()), Rules(1 - choices.confidence, choices.margin, choices.resamples, _SEED)
    pairs, half = judge_pairs(sample, rules)
    numbers = _numbers(pairs, half, choices) if pairs else []
    rows = []
    for place, pair in enumerate(pairs):
        rows += [
            _row(sample, pair, k, numbers[place][k], columns=columns, choices=choices)
            for k in (-1, *range(len(columns)))
        ]
        rows += [_untested(sample, pair, k) for k in sample.averaged if k not in columns]
    order = {None: -1} | {sample.classes[k]: place for place, k in enumerate(sample.averaged)}
    number = {name: place for place, name in enumerate(sample.variants)}
    rows.sort(key=lambda row: (number[row.first], number[row.second], order[row.score]))
    rows = _advised(sample, pairs, half, rows, choices)
    undefined = tuple(sample.classes[k] for k in sample.averaged if k not in columns)
    known = len(pairs) > 0 and bool(np.isfinite(half.width[:, -1]).all()) and sample.values is None
    ranked = _ranking(sample, pairs, columns, half.width[:, -1], choices) if known else None
    return Judged(tuple(rows), ranked, undefined, half.exact)


class Numbers(NamedTuple):
    """All values of one difference (see `PairDifference`); NaN if missing."""

    difference: float
    width: float
    alone: float
    sd_units: float
    sd_seeds: float
    df: float
    p: float
    p_holm: float
    p_adjusted: float
    p_equal: float


def _numbers(pairs: list[Pair], half: Half, choices: Choices) -> list[list[Numbers]]:
    """The values of all pairs and columns."""
    found = Estimate.stacked([pair.estimate for pair in pairs])
    holms = np.concatenate([holm(half.p[:, :-1]), holm(half.p[:, -1:])], axis=1)
    each = (
        found.difference, half.width, found.half_width(1 - choices.confidence), np.sqrt(found.units), np.sqrt(found.seeds),
        found.df, half.p, holms, half.adjusted, half.p_equal,
    )  # fmt: skip
    return [[Numbers(*row) for row in rows] for rows in np.stack(each, axis=-1).tolist()]


def _row(sample: Sample, pair: Pair, k: int, its: Numbers, *, columns: list[int], choices: Choices) -> PairDifference:
    """`k`: a column, -1 the mean."""
    counts = (int(sample.counts[pair.first]), int(sample.counts[pair.second]))
    difference, width, training = its.difference, its.width, bool(pair.training[k])
    scarce = _scarce(sample, pair, columns) if k == -1 else None
    about: Literal["models", "variants"] = "variants" if training else "models"
    claim: Claim = ("training within folds" if sample.folds else "training") if training else "models"
    head = (sample.variants[pair.first], sample.variants[pair.second], None if k == -1 else sample.classes[columns[k]])
    units = int(pair.held[k])
    if math.isnan(width):
        few: Reason = "scarce class" if scarce is not None and sample.units >= MINIMUM_UNITS else "too few units"
        return PairDifference(
            *head, about, counts, units, _plain(difference), None, None, None, None, None, None, None, "not tested", None,
            reason="undefined" if math.isnan(difference) else few, scarce=scarce, claim=claim,
        )  # fmt: skip
    most = 1.0 if sample.bounded else math.inf
    low, high = max(difference - width, -most), min(difference + width, most)
    verdict, within = _verdict(low, high, its.p_equal, choices, sample.sign)
    return PairDifference(
        *head, about, counts, units, difference, low, high, its.sd_units, its.sd_seeds, its.df, its.p, its.p_holm, verdict,
        None, its.p_adjusted, max(difference - its.alone, -most), min(difference + its.alone, most), its.p_equal, within,
        "too few seeds" if training and width >= most else "", scarce, claim,
    )  # fmt: skip


def _advised(
    sample: Sample, pairs: list[Pair], half: Half, rows: list[PairDifference], choices: Choices
) -> list[PairDifference]:
    """The rows; undecided means with the number of additional units or seeds required."""
    place = {(pair.first, pair.second): at for at, pair in enumerate(pairs)}
    number = {name: at for at, name in enumerate(sample.variants)}
    undecided = [at for at, row in enumerate(rows) if row.score is None and row.verdict == "not distinguishable"]
    which = [place[number[rows[at].first], number[rows[at].second]] for at in undecided]
    advice = needed([pairs[at].estimate for at in which], sample.units, choices.margin, half.width[which, -1])
    changed = list(rows)
    for at, each in zip(undecided, advice, strict=True):
        changed[at] = replace(rows[at], needed=each)
    return changed


def _untested(sample: Sample, pair: Pair, k: int) -> PairDifference:
    """The row of an averaged class that is not comparable."""
    counts = (int(sample.counts[pair.first]), int(sample.counts[pair.second]))
    return PairDifference(
        sample.variants[pair.first], sample.variants[pair.second], sample.classes[k],
        "models", counts, 0, None, None, None, None, None, None, None, None,
        "not tested", None, reason="undefined",
    )  # fmt: skip


def _scarce(sample: Sample, pair: Pair, columns: list[int]) -> str | None:
    """The averaged class with the fewest units; None if all units have it."""
    if not columns or pair.held[-1] >= sample.units:
        return None
    return sample.classes[columns[int(pair.held[:-1].argmin())]]


def _verdict(low: float, high: float, p_equal: float, choices: Choices, sign: int) -> tuple[Verdict, bool]:
    """The verdict, better or worse if and only if the interval excludes 0; and whether the difference is within the margin."""
    equal = p_equal <= 1 - choices.confidence
    if low > 0 or high < 0:
        return ("better" if (low > 0) == (sign > 0) else "worse"), equal
    return ("practically equal" if equal else "not distinguishable"), equal


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _ranking(sample: Sample, pairs: list[Pair], columns: list[int], widths: Floats, choices: Choices) -> Ranking | None:
    """There is none where a mean isn't tested, or where values are compared on other images in each pair."""
    variants = []
    for a, b in zip(sample.numerators, sample.denominators, strict=True):
        each = jackknife(a, b, columns)
        variants.append(Jackknife(each.scores[:, -1:], each.influence[..., -1:]))
    training = all(pair.training[-1] for pair in pairs)
    return ranking(
        variants, widths, choices.resamples, _SEED, sign=sample.sign, confidence=choices.confidence, training=training
    )
