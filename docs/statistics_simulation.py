"""Simulates comparisons whose truth is known: how often verdicts are wrong, intervals cover, gaps are found.

`python docs/statistics_simulation.py` prints all cases, 1,000 repeats each, as the table of statistics.md. What
is above 5 % by chance or not is repeated with four times as many other draws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segengine.compare.intervals import Floats, Jackknife, estimate, jackknife
from segengine.compare.permutation import flipped, p_of, signs
from segengine.compare.ratios import ratios
from segengine.compare.summary import Kind

PRESENCE = np.array([1.0, 0.7, 0.4])
"""How many of the images hold each class. Where one is absent, 8 % of the models' images have a false positive."""


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


@dataclass(frozen=True)
class Outcome:
    """Shares of the repeats: `decided` (better or worse), `covered`, and of those the verdict that is right."""

    decided: float
    covered: float
    found: float
    truth: float
    ratio: float
    images: int


def places(case: Case, rng: np.random.Generator) -> NDArray[np.int64]:
    """The group of each image; groups have 1 to about 20 images."""
    sizes = np.maximum(1, rng.lognormal(0.9, 0.8, case.units).astype(np.int64)) if case.grouped else 1
    return np.repeat(np.arange(case.units), sizes)


def drawn(
    case: Case, place: NDArray[np.int64], rng: np.random.Generator, *, trainings: int = 1
) -> Iterator[list[NDArray[np.int64]]]:
    """For both variants, counts int64 [N, 3, K] of each seed's model (`trainings` N: anew for each image).

    Sizes are log-normal, difficulty is shared by all models, and by a group's images; each variant has strengths and
    each model noise of its own. Scores are skewed towards 1, as real ones are.
    """
    shape = (len(place), len(PRESENCE))
    present = rng.random(shape) < PRESENCE
    truth = np.where(present, np.exp(rng.normal(6.5, 1.0, shape)).astype(np.int64) + 1, 0)
    difficulty = rng.normal(0, 0.8, shape) + case.grouped * rng.normal(0, 0.8, (place[-1] + 1, 1))[place]
    for gap, failures in ((case.gap, 0.0), (0.0, case.failures)):
        level = 1.8 + gap + difficulty + rng.normal(0, 0.3, shape)
        level += case.grouped * rng.normal(0, 0.3, (place[-1] + 1, 1))[place]
        models = []
        for _ in range(case.seeds):
            seed = case.sd_seed * (rng.normal(0, 1, (trainings, 1)) + 0.5 * rng.normal(0, 1, (trainings, shape[1])))
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
    rng = np.random.default_rng(99)
    sums: list[list[Floats]] = [[], []]
    for _ in range(30):
        many = replace(case, units=4000, seeds=1)
        place = places(many, rng)
        for side, (model,) in zip(sums, drawn(many, place, rng, trainings=len(place)), strict=True):
            side.append(np.stack([x.sum(axis=0) for x in ratios(model, place, "dice", case.kind)]))
    first, second = (np.sum(side, axis=0) for side in sums)
    return float((first[0] / first[1] - second[0] / second[1]).mean())


def simulate(case: Case, repeats: int, seed: int = 0, resamples: int = 1000) -> Outcome:
    """Repeat the comparison of one case as `segengine compare` makes it, for the mean over classes."""
    rng = np.random.default_rng(seed)
    flips, exact = signs(case.units, resamples, rng)
    truth = true_difference(case)
    decided, covered, found, units, seeds = (np.zeros(repeats) for _ in range(5))
    images = 0
    for i in range(repeats):
        place = places(case, rng)
        images += len(place)
        first, second = (_stacked(models, place, case) for models in drawn(case, place, rng))
        each = estimate(first, second)
        p = each.p()
        if case.seeds == 1:
            nulls = flipped((first, second), flips)
            p = p_of(each.difference, nulls[:, 0] - nulls[:, 1], p, exact=exact)
        low, high = (float(end[-1]) for end in each.interval(0.95))
        decided[i] = p[-1] <= 0.05 and (low > 0 or high < 0)
        covered[i] = low <= truth <= high
        found[i] = decided[i] and (low > 0) == (truth > 0)
        units[i], seeds[i] = each.units[-1], each.seeds[-1]
    return Outcome(
        float(decided.mean()), float(covered.mean()), float(found.mean()), truth,
        float(seeds.mean() / units.mean()), images // repeats,
    )  # fmt: skip


def _stacked(models: list[NDArray[np.int64]], place: NDArray[np.int64], case: Case) -> Jackknife:
    sums = [ratios(model, place, "dice", case.kind) for model in models]
    defined = np.flatnonzero(np.all([b.sum(axis=0) > 0 for _, b in sums], axis=0))
    each = [jackknife(a, b, defined.tolist()) for a, b in sums]
    return Jackknife(np.stack([x.scores for x in each]), np.stack([x.influence for x in each]))


def cases() -> list[Case]:
    """No difference; failures of one side; a gap of about two points."""
    null = [
        Case(seeds, sd_seed, grouped=grouped, kind=kind)
        for seeds, spreads in ((1, (0.0,)), (2, (0.0, 0.2)), (3, (0.0, 0.1, 0.4)), (5, (0.0, 0.1, 0.4)))
        for sd_seed in spreads
        for grouped in (False, True)
        for kind in ("pooled", "per_image")
    ]
    small = [Case(1, units=10, kind="per_image"), Case(1, units=20, grouped=True), Case(1, units=100, grouped=True)]
    skewed = [Case(1, units=60, kind=kind, failures=0.05) for kind in ("pooled", "per_image")]
    gaps = [
        Case(1, units=900, kind="per_image", gap=0.17),
        Case(1, units=800, gap=0.17),
        Case(3, 0.03, units=800, kind="per_image", gap=0.17),
        Case(5, 0.05, units=400, kind="per_image", gap=0.17),
        Case(5, 0.1, units=400, kind="per_image", gap=0.17),
    ]
    return [*null, *small, *skewed, *gaps]


def row(case: Case, outcome: Outcome, note: str) -> str:
    """A row of the table."""
    groups = case.units if case.grouped else "–"
    right = f"{100 * outcome.found:.1f} %" if outcome.truth else "–"
    return (
        f"| {case.seeds}{note} | {case.sd_seed:g} | {outcome.ratio:.2f} | {case.kind.replace('_', ' ')} | {groups} | "
        f"{outcome.images} | {100 * outcome.truth:.2f} | {100 * outcome.decided:.1f} % | {right} | "
        f"{100 * outcome.covered:.1f} % |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    repeats = parser.parse_args().repeats
    print(
        "| seeds | SD of seeds | seeds / units | kind | groups | images | true points | better or worse | right | covered |"
    )
    print("| --: | --: | --: | :-- | --: | --: | --: | --: | --: | --: |")
    start = time.perf_counter()
    for case in cases():
        outcome = simulate(case, repeats)
        print(row(case, outcome, ""), flush=True)
        if not outcome.truth and outcome.decided > 0.05:
            print(row(case, simulate(case, 4 * repeats, seed=1), " (again)"), flush=True)
    print(f"\n{repeats:,} repeats each, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
