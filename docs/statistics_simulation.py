"""Simulates comparisons whose truth is known: how often verdicts are wrong, intervals cover, gaps are found.

`python docs/statistics_simulation.py` prints all cases as the table of statistics.md: 4,000 repeats of each in which
there is no difference, 1,000 of the others. Every case has random numbers of its own, so that no two rows share their
luck; its first 1,000 repeats are also shown alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.statistics.intervals import Floats, Jackknife, estimate, jackknife
from segengine.comparison.statistics.permutation import flipped, p_of, signs
from segengine.comparison.statistics.ratios import ratios
from segengine.comparison.summary import Kind

PRESENCE = np.array([1.0, 0.7, 0.4])
"""How many of the images hold each class. Where one is absent, 8 % of the models' images have a false positive."""

KINDS: tuple[Kind, ...] = ("pooled", "per_image")
FIRST = 1000
AT_ONCE = 250
"""Repeats that are drawn together, from a generator of their own: the first are the same however many follow."""


@dataclass(frozen=True)
class Case:
    """One truth. `gap`, `sd_seed`: on the logit scale of precision and recall; `failures`: of the second's images."""

    seeds: int
    sd_seed: float = 0.0
    units: int = 40
    grouped: bool = False
    kind: Kind = "pooled"
    gap: float = 0.0
    failures: float = 0.0

    def generators(self, count: int) -> list[np.random.Generator]:
        """Independent generators that belong to this case alone."""
        children = np.random.SeedSequence(list(repr(self).encode())).spawn(count)
        return [np.random.default_rng(child) for child in children]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of each of R repeats: bool [R] `decided` (better or worse), `covered`, `found` (decided for the right one).

    `variances` [R, 2]: the estimated parts of units and of seeds; `images` [R]. `truth` is the true difference.
    """

    decided: NDArray[np.bool_]
    covered: NDArray[np.bool_]
    found: NDArray[np.bool_]
    variances: Floats
    images: NDArray[np.int64]
    truth: float


def places(units: int, rng: np.random.Generator, *, grouped: bool) -> NDArray[np.int64]:
    """The unit of each image, ascending; groups have 1 to about 20 images."""
    sizes = np.maximum(1, rng.lognormal(0.9, 0.8, units).astype(np.int64)) if grouped else 1
    return np.repeat(np.arange(units), sizes)


def drawn(
    case: Case, place: NDArray[np.int64], training: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[list[NDArray[np.int64]]]:
    """For both variants, counts int64 [N, 3, K] of each seed's model; `training` [N]: which training each image sees.

    Sizes are log-normal, difficulty is shared by all models, and by a group's images; each variant has strengths and
    each model noise of its own. Scores are skewed towards 1, as real ones are.
    """
    shape = (len(place), len(PRESENCE))
    trained = (training[-1] + 1, shape[1])
    present = rng.random(shape) < PRESENCE
    truth = np.where(present, np.exp(rng.normal(6.5, 1.0, shape)).astype(np.int64) + 1, 0)
    difficulty = rng.normal(0, 0.8, shape) + case.grouped * rng.normal(0, 0.8, (place[-1] + 1, 1))[place]
    for gap, failures in ((case.gap, 0.0), (0.0, case.failures)):
        level = 1.8 + gap + difficulty + rng.normal(0, 0.3, shape)
        level += case.grouped * rng.normal(0, 0.3, (place[-1] + 1, 1))[place]
        models = []
        for _ in range(case.seeds):
            seed = case.sd_seed * (rng.normal(0, 1, (trained[0], 1)) + 0.5 * rng.normal(0, 1, trained))[training]
            logit = level + seed + rng.normal(0, 0.5, shape)
            recall, precision = (1 / (1 + np.exp(-(logit + rng.normal(0, 0.4, shape)))) for _ in range(2))
            recall = np.where(rng.random(shape) < failures, 0.0, recall)
            right = np.floor(recall * truth).astype(np.int64)
            false = ~present & (rng.random(shape) < 0.08)
            area = np.exp(rng.normal(3.5, 1.0, shape)).astype(np.int64) + 1
            predicted = np.where(false, area, np.floor(right / np.maximum(precision, 0.01)).astype(np.int64))
            models.append(np.stack([right, truth, predicted], axis=1))
        yield models


def true_difference(case: Case) -> float:
    """The difference of the mean over classes that endless images and seeds would give: 0 by symmetry without a gap."""
    if not case.gap and not case.failures:
        return 0.0
    sums: list[list[Floats]] = [[], []]
    for rng in case.generators(150):
        many = replace(case, seeds=1)
        place = places(4000, rng, grouped=case.grouped)
        for side, (model,) in zip(sums, drawn(many, place, np.arange(len(place)), rng), strict=True):
            side.append(np.stack([x.sum(axis=0) for x in ratios(model, place, "dice", case.kind)]))
    first, second = (np.sum(side, axis=0) for side in sums)
    return float((first[0] / first[1] - second[0] / second[1]).mean())


def simulate(case: Case, repeats: int, resamples: int = 1000) -> Outcome:
    """Repeat the comparison of one case as `segengine compare` makes it, for the mean over classes."""
    truth = true_difference(case)
    flips, exact = signs(case.units, resamples, np.random.default_rng(0))
    parts = [_batch(case, rng, truth, flips, exact) for rng in case.generators(-(-repeats // AT_ONCE))]
    arrays = {
        each.name: np.concatenate([getattr(part, each.name) for part in parts])[:repeats]
        for each in fields(Outcome)
        if each.name != "truth"
    }
    return Outcome(**arrays, truth=truth)


def _batch(case: Case, rng: np.random.Generator, truth: float, flips: Floats, exact: bool) -> Outcome:
    place = places(AT_ONCE * case.units, rng, grouped=case.grouped)
    whole = place // case.units
    first, second = (_jackknives(models, place, case) for models in drawn(case, place, whole, rng))
    each = estimate(first, second)
    p = each.p()
    if case.seeds == 1:
        for i in range(AT_ONCE):
            pair = [Jackknife(v.scores[i], v.influence[i]) for v in (first, second)]
            nulls = flipped(pair, flips)
            p[i] = p_of(each.difference[i], nulls[:, 0] - nulls[:, 1], p[i], exact=exact)
    low, high = (end[:, -1] for end in each.interval(0.95))
    decided = (p[:, -1] <= 0.05) & ((low > 0) | (high < 0))
    return Outcome(
        decided, (low <= truth) & (truth <= high), decided & ((low > 0) == (truth > 0)),
        np.stack([each.units[:, -1], each.seeds[:, -1]], axis=1), np.bincount(whole), truth,
    )  # fmt: skip


def _jackknives(models: list[NDArray[np.int64]], place: NDArray[np.int64], case: Case) -> Jackknife:
    """A variant's scores [R, S, C] and influences [R, S, G, C] in each repeat, over the classes that it has there."""
    shape = (AT_ONCE, case.units, len(PRESENCE))
    sums = [[x.reshape(shape) for x in ratios(model, place, "dice", case.kind)] for model in models]
    numerators, denominators = (np.stack(part, axis=1) for part in zip(*sums, strict=True))
    defined = (denominators.sum(axis=2) > 0).all(axis=1)
    count = len(PRESENCE) + 1
    scores, influence = np.empty((*denominators.shape[:2], count)), np.empty((*denominators.shape[:3], count))
    for pattern in np.unique(defined, axis=0):
        rows = (defined == pattern).all(axis=1)
        found = jackknife(numerators[rows], denominators[rows], np.flatnonzero(pattern).tolist())
        scores[rows], influence[rows] = found.scores, found.influence
    return Jackknife(scores, influence)


def null_cases(*counts: int) -> list[Case]:
    """No difference: one seed, where seeds add nothing, or several, where they add nothing up to more than the images."""
    spreads = {1: (0.0,), 2: (0.0, 0.4), 3: (0.0, 0.1, 0.4), 5: (0.0, 0.1, 0.4)}
    return [
        Case(seeds, sd_seed, grouped=grouped, kind=kind)
        for seeds in counts
        for sd_seed in spreads[seeds]
        for grouped in (False, True)
        for kind in KINDS
    ]


def other_cases() -> list[Case]:
    """Other numbers of units; failures of one side; a gap of about two points."""
    small = [Case(1, units=10, kind="per_image"), Case(1, units=20, grouped=True), Case(1, units=100, grouped=True)]
    several = [Case(3, 0.1, units=units, grouped=grouped) for units, grouped in ((20, False), (20, True), (100, True))]
    skewed = [Case(1, units=60, kind=kind, failures=0.05) for kind in KINDS]
    return [*small, *several, *skewed, *gap_cases(), Case(5, 0.1, units=400, kind="per_image", gap=0.17)]


def gap_cases() -> list[Case]:
    """Numbers of images and seeds with which a gap of two points is found in four of five cases."""
    return [
        Case(1, units=900, kind="per_image", gap=0.17),
        Case(1, units=800, gap=0.17),
        Case(3, 0.03, units=800, kind="per_image", gap=0.17),
        Case(5, 0.05, units=400, kind="per_image", gap=0.17),
    ]


def row(case: Case, outcome: Outcome) -> str:
    """A row of the table."""
    units, seeds = outcome.variances.mean(axis=0)
    cells = [
        f"{case.seeds}", f"{case.sd_seed:g}", f"{seeds / units:.2f}", case.kind.replace("_", " "),
        f"{case.units}" if case.grouped else "–", f"{outcome.images.mean():.0f}", f"{100 * outcome.truth:.2f}",
        _percent(outcome.decided[:FIRST]), _percent(outcome.decided),
        _percent(outcome.found) if outcome.truth else "–", _percent(outcome.covered),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _percent(share: NDArray[np.bool_]) -> str:
    return f"{100 * share.mean():.1f} %"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repeats", type=int, default=4000, help="of each case without a difference; others: a quarter"
    )
    repeats = parser.parse_args().repeats
    print(
        f"| seeds | SD of seeds | seeds / units | kind | groups | images | true points | first {FIRST:,} | better or worse "
        "| right | covered |"
    )
    print("| --: | --: | --: | :-- | --: | --: | --: | --: | --: | --: | --: |")
    start = time.perf_counter()
    for case in (*null_cases(1, 2, 3, 5), *other_cases()):
        print(row(case, simulate(case, repeats // 4 if case.gap or case.failures else repeats)), flush=True)
    print(
        f"\n{repeats:,} repeats, {time.perf_counter() - start:.0f} s, of which {time.process_time():.0f} s of processor time"
    )


if __name__ == "__main__":
    main()
