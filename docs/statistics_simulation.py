"""Simulates comparisons whose truth is known: how often verdicts are wrong, intervals cover, gaps are found, advice holds.

`python docs/statistics_simulation.py` prints the tables of statistics.md and writes them to statistics_simulation.json:
4,000 repeats of each case. Every case has random numbers of its own, so that no two rows share their luck.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.statistics.differences import judge_pairs
from segengine.comparison.statistics.family import Rules
from segengine.comparison.statistics.intervals import Floats
from segengine.comparison.statistics.ratios import Kind, ratios, summed
from segengine.comparison.statistics.sample import Sample

PRESENCE = (1.0, 0.7, 0.4)
"""How many of the images hold each class, unless a case says in how many exactly."""

KINDS: tuple[Kind, ...] = ("pooled", "per_image")
AT_ONCE = 250
"""Repeats that are drawn together, from a generator of their own: the first are the same however many follow."""


@dataclass(frozen=True)
class Case:
    """One truth. `gap`, `sd_seed`: on the logit scale of precision and recall; `failures`: of the last variant's images.

    `false_positives`: in how many of the images without a class a model predicts it. `held`: in how many units each class
    is, exactly; without it by chance as in `PRESENCE`. `margin`: that of practical equality; the true gap where negative.
    """

    seeds: int
    sd_seed: float = 0.0
    units: int = 40
    grouped: bool = False
    kind: Kind = "pooled"
    gap: float = 0.0
    failures: float = 0.0
    false_positives: float = 0.08
    held: tuple[int, ...] = ()
    variants: int = 2
    equal_at_gap: bool = False

    def generators(self, count: int) -> list[np.random.Generator]:
        """Independent generators that belong to this case alone."""
        children = np.random.SeedSequence(list(repr(self).encode())).spawn(count)
        return [np.random.default_rng(child) for child in children]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of each of R repeats, bool [R]: `tested`; `decided` (some pair better or worse), `covered` (all pairs),
    `found` (decided for the right one), `equal` (some pair practically equal).

    `variances` [R, 2]: the estimated parts of units and of seeds. `truth` is the true difference.
    """

    tested: NDArray[np.bool_]
    decided: NDArray[np.bool_]
    covered: NDArray[np.bool_]
    found: NDArray[np.bool_]
    equal: NDArray[np.bool_]
    variances: Floats
    truth: float


def places(units: int, rng: np.random.Generator, *, grouped: bool) -> NDArray[np.int64]:
    """The unit of each image, ascending; groups have 1 to about 20 images."""
    sizes = np.maximum(1, rng.lognormal(0.9, 0.8, units).astype(np.int64)) if grouped else 1
    return np.repeat(np.arange(units), sizes)


def present_of(case: Case, place: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which images hold which class, bool [N, K]: by chance, or all images of as many units as the case says."""
    if not case.held:
        return rng.random((len(place), len(PRESENCE))) < PRESENCE
    repeats = (place[-1] + 1) // case.units
    chosen = [rng.random((repeats, case.units)).argsort(axis=1) < count for count in case.held]
    return np.stack(chosen, axis=-1).reshape(-1, len(case.held))[place]


def drawn(
    case: Case, place: NDArray[np.int64], training: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[list[NDArray[np.int64]]]:
    """For each variant, counts int64 [N, 3, K] of each seed's model; `training` [N]: which training each image sees.

    Sizes are log-normal, difficulty is shared by all models, and by a group's images; each variant has strengths and
    each model noise of its own. Scores are skewed towards 1, as real ones are.
    """
    shape = (len(place), len(PRESENCE))
    trained = (training[-1] + 1, shape[1])
    present = present_of(case, place, rng)
    truth = np.where(present, np.exp(rng.normal(6.5, 1.0, shape)).astype(np.int64) + 1, 0)
    difficulty = rng.normal(0, 0.8, shape) + case.grouped * rng.normal(0, 0.8, (place[-1] + 1, 1))[place]
    for variant in range(case.variants):
        failures = case.failures if variant == case.variants - 1 else 0.0
        level = 1.8 + (case.gap if variant == 0 else 0.0) + difficulty + rng.normal(0, 0.3, shape)
        level += case.grouped * rng.normal(0, 0.3, (place[-1] + 1, 1))[place]
        models = []
        for _ in range(case.seeds):
            seed = case.sd_seed * (rng.normal(0, 1, (trained[0], 1)) + 0.5 * rng.normal(0, 1, trained))[training]
            logit = level + seed + rng.normal(0, 0.5, shape)
            recall, precision = (1 / (1 + np.exp(-(logit + rng.normal(0, 0.4, shape)))) for _ in range(2))
            recall = np.where(rng.random(shape) < failures, 0.0, recall)
            right = np.floor(recall * truth).astype(np.int64)
            false = ~present & (rng.random(shape) < case.false_positives)
            area = np.exp(rng.normal(3.5, 1.0, shape)).astype(np.int64) + 1
            predicted = np.where(false, area, np.floor(right / np.maximum(precision, 0.01)).astype(np.int64))
            models.append(np.stack([right, truth, predicted], axis=1))
        yield models


def true_difference(case: Case) -> float:
    """The difference of the mean over classes that endless images and seeds would give: 0 by symmetry without a gap."""
    if not case.gap and not case.failures:
        return 0.0
    sums: list[list[Floats]] = [[], []]
    for rng in replace(case, equal_at_gap=False).generators(150):
        many = replace(case, seeds=1, variants=2)
        place = places(4000, rng, grouped=case.grouped)
        for side, (model,) in zip(sums, drawn(many, place, np.arange(len(place)), rng), strict=True):
            side.append(np.stack([x.sum(axis=0) for x in ratios(model, place, "dice", case.kind)]))
    first, second = (np.sum(side, axis=0) for side in sums)
    return float((first[0] / first[1] - second[0] / second[1]).mean())


def simulate(case: Case, repeats: int, resamples: int = 2000) -> Outcome:
    """Repeat the comparison of one case as `segengine compare` makes it, for the mean over classes."""
    truth = true_difference(case)
    rules = Rules(0.05, abs(truth) if case.equal_at_gap else 0.005, resamples, 0)
    rows = [row for rng in case.generators(-(-repeats // AT_ONCE)) for row in _batch(case, rng, truth, rules)]
    table = np.array(rows[:repeats])
    flags = table[:, :5].astype(bool).T
    return Outcome(*flags, variances=table[:, 5:7], truth=truth)


def samples(case: Case, rng: np.random.Generator) -> list[Sample]:
    """A batch of independent comparisons."""
    place = places(AT_ONCE * case.units, rng, grouped=case.grouped)
    shape = (AT_ONCE, case.units, len(PRESENCE))
    sums, present = [], np.zeros(shape, dtype=bool)
    for models in drawn(case, place, place // case.units, rng):
        each = [[x.reshape(shape) for x in ratios(model, place, "dice", case.kind)] for model in models]
        sums.append([np.stack(part, axis=1) for part in zip(*each, strict=True)])
        present = (summed(models[0][:, 1].astype(np.float64), place) > 0).reshape(shape)
    names, classes = tuple("abcdefghij"[: case.variants]), tuple(range(len(PRESENCE)))
    return [
        Sample(
            names, tuple(map(str, classes)), classes, tuple(a[r] for a, _ in sums), tuple(b[r] for _, b in sums),
            present[r], case.kind,
        )
        for r in range(AT_ONCE)
    ]  # fmt: skip


def _batch(case: Case, rng: np.random.Generator, truth: float, rules: Rules) -> list[list[float]]:
    rows = []
    true = np.array([truth if i == 0 else 0.0 for i in range(case.variants) for _ in range(i + 1, case.variants)])
    for sample in samples(case, rng):
        pairs, half = judge_pairs(sample, rules)
        difference = np.array([pair.estimate.difference[-1] for pair in pairs])
        width, equal = half.width[:, -1], half.p_equal[:, -1] <= rules.level
        parts = pairs[0].estimate
        away = np.abs(difference) > width
        rows.append([
            not np.isnan(width).any(), away.any(), (np.abs(difference - true) <= width).all(),
            (away & ((difference > 0) == (true > 0)) & (true != 0)).any(), equal.any(),
            parts.units[-1], parts.seeds[-1],
        ])  # fmt: skip
    return rows
