"""Simulates comparisons whose truth is known: how often verdicts are wrong, intervals cover, gaps are found, advice holds.

`python docs/statistics_simulation.py` prints the rows behind the tables of statistics.md and writes them to statistics_simulation.jsonl:
4,000 repeats of each case, 2,000 of a case in which advice is taken. Rows that the file has are kept, so that a stopped simulation goes
on. Every case has random numbers of its own, so that no two rows share their luck.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.measures import Kind
from segengine.comparison.statistics.family import Rules
from segengine.comparison.statistics.intervals import (
    MINIMUM_SEEDS,
    MINIMUM_UNITS_OF_TRAINING,
    Estimate,
    Floats,
    Parts,
    estimate,
    jackknife,
)
from segengine.comparison.statistics.pair_estimates import judge_pairs
from segengine.comparison.statistics.power import POWER, Sources, more, power
from segengine.comparison.statistics.ratios import ratios, summed
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
    is, exactly; without it by chance as in `PRESENCE`. `ties`: in how many of the images both variants predict the same.
    `paired`: the variants' seeds share what training adds, in half of its variance, and are compared one by one.
    `equal_at_gap`: the margin of practical equality is the true gap.
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
    ties: float = 0.0
    paired: bool = False
    equal_at_gap: bool = False


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


def generators(case: Case | Advice, repeats: int) -> list[np.random.Generator]:
    """A generator per `AT_ONCE` repeats, independent of each other, that belong to this case alone."""
    children = np.random.SeedSequence(list(repr(case).encode())).spawn(-(-repeats // AT_ONCE))
    return [np.random.default_rng(child) for child in children]


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
    alike = rng.random((len(place), 1, 1)) < case.ties if case.ties else None
    shared = [_of_training(rng, trained) for _ in range(case.seeds)] if case.paired else []
    first: list[NDArray[np.int64]] = []
    for variant in range(case.variants):
        failures = case.failures if variant == case.variants - 1 else 0.0
        level = 1.8 + (case.gap if variant == 0 else 0.0) + difficulty + rng.normal(0, 0.3, shape)
        level += case.grouped * rng.normal(0, 0.3, (place[-1] + 1, 1))[place]
        models = []
        for s in range(case.seeds):
            own = _of_training(rng, trained)
            seed = case.sd_seed * (np.sqrt(0.5) * (own + shared[s]) if case.paired else own)[training]
            logit = level + seed + rng.normal(0, 0.5, shape)
            recall, precision = (1 / (1 + np.exp(-(logit + rng.normal(0, 0.4, shape)))) for _ in range(2))
            recall = np.where(rng.random(shape) < failures, 0.0, recall)
            right = np.floor(recall * truth).astype(np.int64)
            false = ~present & (rng.random(shape) < case.false_positives)
            area = np.exp(rng.normal(3.5, 1.0, shape)).astype(np.int64) + 1
            predicted = np.where(false, area, np.floor(right / np.maximum(precision, 0.01)).astype(np.int64))
            model = np.stack([right, truth, predicted], axis=1)
            models.append(model if alike is None or not first else np.where(alike, first[s], model))
        first = first or models
        yield models


def _of_training(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """What each training adds to the logits of each class [T, K]: half of it is of the class alone."""
    return np.asarray(rng.normal(0, 1, (shape[0], 1)) + 0.5 * rng.normal(0, 1, shape))


def true_difference(case: Case) -> float:
    """The difference of the mean over classes that endless images and seeds would give: 0 by symmetry without a gap."""
    if not case.gap and not case.failures:
        return 0.0
    sums: list[list[Floats]] = [[], []]
    for rng in generators(replace(case, equal_at_gap=False), 150 * AT_ONCE):
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
    batch = _training if case.seeds >= 3 and case.variants == 2 and case.units >= 20 and not case.held else _batch
    table = np.concatenate([batch(case, rng, truth, rules) for rng in generators(case, repeats)])[:repeats]
    return Outcome(*table[:, :5].astype(bool).T, variances=table[:, 5:7], truth=truth)


def samples(case: Case, rng: np.random.Generator) -> list[Sample]:
    """A batch of independent comparisons."""
    sums, present = _sums(case, rng)
    names, classes = tuple("abcdefghij"[: case.variants]), tuple(range(len(PRESENCE)))
    return [
        Sample(
            names, tuple(map(str, classes)), classes, tuple(a[r] for a, _ in sums), tuple(b[r] for _, b in sums),
            present[r], case.kind,
        )
        for r in range(AT_ONCE)
    ]  # fmt: skip


def _sums(case: Case, rng: np.random.Generator, repeats: int = AT_ONCE) -> tuple[list[list[Floats]], NDArray[np.bool_]]:
    """Numerators and denominators [R, S, G, K] of each variant, and where the truth has each class [R, G, K]."""
    place = places(repeats * case.units, rng, grouped=case.grouped)
    shape = (repeats, case.units, len(PRESENCE))
    sums, present = [], np.zeros(shape, dtype=bool)
    for models in drawn(case, place, place // case.units, rng):
        each = [[x.reshape(shape) for x in ratios(model, place, "dice", case.kind)] for model in models]
        sums.append([np.stack(part, axis=1) for part in zip(*each, strict=True)])
        present = (summed(models[0][:, 1].astype(np.float64), place) > 0).reshape(shape)
    return sums, present


def _batch(case: Case, rng: np.random.Generator, truth: float, rules: Rules) -> Floats:
    """One comparison after the other, through the functions that `segengine compare` calls."""
    rows = []
    true = np.array([truth if i == 0 else 0.0 for i in range(case.variants) for _ in range(i + 1, case.variants)])
    for sample in samples(case, rng):
        pairs, half = judge_pairs(sample, rules)
        difference = np.array([pair.estimate.difference[-1] for pair in pairs])
        width, equal = half.width[:, -1], half.p_equal[:, -1] <= rules.level
        away = np.abs(difference) > width
        rows.append([
            not np.isnan(width).any(), away.any(), (np.abs(difference - true) <= width).all(),
            (away & ((difference > 0) == (true > 0)) & (true != 0)).any(), equal.any(),
            pairs[0].estimate.units[-1], pairs[0].estimate.seeds[-1],
        ])  # fmt: skip
    return np.array(rows, dtype=np.float64)


def _training(case: Case, rng: np.random.Generator, truth: float, rules: Rules) -> Floats:
    """The same of a pair with several seeds, all repeats at a time: its t test needs no exchanges."""
    sums, present = _sums(case, rng)
    found = estimate(*(jackknife(a, b, range(len(PRESENCE))) for a, b in sums), paired=case.paired)
    difference, width = found.difference[:, -1], found.half_width(rules.level)[:, -1]
    tested = present.sum(axis=1).min(axis=1) >= MINIMUM_UNITS_OF_TRAINING
    away = tested & (np.abs(difference) > width)
    inside = rules.margin - np.abs(found.difference)
    equal = tested & ((inside > 0) & (found.tail(np.maximum(inside, 0)) <= rules.level))[:, -1]
    return np.stack([
        tested, away, np.abs(difference - truth) <= width, away & ((difference > 0) == (truth > 0)) & (truth != 0), equal,
        found.units[:, -1], found.seeds[:, -1],
    ], axis=1).astype(np.float64)  # fmt: skip


@dataclass(frozen=True)
class Advice:
    """Undecided comparisons that take the advice. Their true gap is what `more_seeds` more seeds per variant and
    `more_units` more images would show with a power of 80 %: less than that is too little, much more is waste.
    """

    seeds: int
    sd_seed: float
    units: int
    more_seeds: int = 5
    more_units: int = 0

    def pilot(self, units: int = 0, seeds: int = 0) -> Case:
        """The comparison with so many more units and seeds."""
        return Case(self.seeds + seeds, self.sd_seed, self.units + units, kind="per_image")


def components(case: Case) -> Sources:
    """The components of variance of the mean's difference, from many more images and seeds than a case has."""
    many, units = replace(case, seeds=200, units=1000), case.units
    found = _estimate(many, generators(many, 1)[0], 1)
    parts = found.parts
    assert parts is not None
    images = (parts.units - sum(parts.interaction))[:, -1] * 1000 / units
    both = sum(parts.interaction)[:, -1] / 2 * 200 * 1000 / units
    seed = np.maximum(sum(parts.seeds) - sum(parts.interaction), 0.0)[:, -1] / 2 * 200
    counts, df = np.full(1, float(case.seeds)), np.full(1, units - 1.0)
    if case.seeds == 1:  # the verdict is about two models: what images and seeds add together is part of the images'
        return Sources(images + 2 * both, df, units, 0 * seed, 0 * both)
    return Sources(images, df, units, seed, both, (counts, counts))


def _estimate(case: Case, rng: np.random.Generator, repeats: int = AT_ONCE) -> Estimate:
    sums, _ = _sums(case, rng, repeats)
    return estimate(*(jackknife(a, b, range(len(PRESENCE))) for a, b in sums))


def target(case: Advice) -> float:
    """The gap that is found with a power of 80 % by as many more seeds and images as the case says."""
    sources, low, high, level = components(case.pilot()), 0.0, 1.0, np.full(1, 0.05)
    for _ in range(40):
        middle = (low + high) / 2
        enough = power(sources, np.full(1, middle), level, case.units + case.more_units, case.more_seeds)[0] >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high


def advised(case: Advice, repeats: int) -> dict[str, Any]:
    """The share of undecided comparisons that find the gap when they are made anew with the numbers advised.

    `enough`: the share that the truly sufficient numbers find. `seeds_alone`, `units_alone`, `both`, `none`: how often
    advice has which form; seeds are taken where several are given. `median`: of the seeds advised alone.
    """
    gap, pilot = target(case), case.pilot()
    designs: Counter[tuple[int, int] | None] = Counter()
    forms: Counter[str] = Counter()
    alone: list[int] = []
    for rng in generators(case, repeats):
        found = _estimate(pilot, rng)
        open_ = (np.abs(found.difference + gap) <= found.half_width(0.05))[:, -1]
        sources = Sources.of_parts(_of_mean(found.parts)) if found.parts else _of_models(found, pilot)
        count = int(open_.sum())
        for needed in more(sources.at(open_), np.full(count, gap), np.full(count, 0.05)):
            form = (
                "seeds_alone" if needed.seeds else "units_alone" if needed.units else "both" if needed.both else "none"
            )
            forms[form] += 1
            alone += [needed.seeds] if needed.seeds else []
            designs[(0, needed.seeds) if needed.seeds else (needed.units, 0) if needed.units else needed.both] += 1
    rng = np.random.default_rng(list(repr(case).encode()))
    total, none = forms.total(), designs.pop(None, 0)
    hit = sum(_hits(case.pilot(*design), gap, rng, times) for design, times in sorted(designs.items()))
    enough = _hits(case.pilot(case.more_units, case.more_seeds), gap, rng, repeats) / repeats
    return {
        **asdict(case), "gap": gap, "repeats": repeats, "undecided": total / repeats, "enough": enough,
        "median": float(np.median(alone)) if alone else None,
        **{form: forms[form] / total for form in ("seeds_alone", "units_alone", "both", "none")},
        "power": hit / (total - none),
    }  # fmt: skip


def _of_mean(parts: Parts) -> Parts:
    """The parts of the mean alone, [R]."""
    seeds, interaction = (tuple(each[:, -1] for each in part) for part in (parts.seeds, parts.interaction))
    return replace(
        parts, units=parts.units[:, -1], units_df=parts.units_df[:, -1], seeds=seeds, interaction=interaction
    )


def _of_models(found: Estimate, pilot: Case) -> Sources:
    own = found.units[:, -1]
    return Sources(own, found.df[:, -1], pilot.units, 0 * own, 0 * own)


def _hits(case: Case, gap: float, rng: np.random.Generator, times: int) -> int:
    """In how many of some comparisons a true difference of `gap` is found."""
    hits = 0
    while times > 0:
        count = min(times, AT_ONCE)
        found = _estimate(case, rng, count)
        hits += int((found.difference + gap > found.half_width(0.05))[:, -1].sum())
        times -= count
    return hits


def null_cases() -> list[Case]:
    """No difference: seeds that add nothing up to more than the images; rare classes; few groups; several variants."""
    plain = [
        Case(seeds, sd_seed, grouped=grouped, kind=kind)
        for seeds, spreads in {1: (0.0,), 2: (0.0,), 3: (0.0, 0.1, 0.4), 5: (0.0, 0.1, 0.4)}.items()
        for sd_seed in spreads
        for grouped in (False, True)
        for kind in KINDS
    ]
    rare = [
        Case(1, held=(40, 28, few), kind=kind, false_positives=rate)
        for few in (1, 2, 3, 6, 10)
        for kind in KINDS
        for rate in ((0.001, 0.01, 0.08) if few >= 6 else (0.08,))
    ]
    small = [Case(1, units=n, grouped=True, held=(n, n, 6), kind=kind) for n in (6, 7, 8) for kind in KINDS]
    tied = [Case(seeds, sd_seed, kind=kind, ties=0.8) for seeds, sd_seed in ((1, 0.0), (3, 0.1)) for kind in KINDS]
    paired = [Case(seeds, sd_seed, kind="per_image", paired=True) for seeds in (3, 5) for sd_seed in (0.1, 0.4)]
    several = [Case(1, variants=3, kind="per_image"), Case(3, 0.1, units=100, grouped=True)]
    return [*plain, *rare, *small, *tied, *paired, *several]


def other_cases() -> list[Case]:
    """Failures of one side; a gap of about two points, also as the margin of practical equality."""
    return [
        *(Case(1, units=60, kind=kind, failures=0.05) for kind in KINDS), Case(1, units=200, kind="per_image", gap=0.17),
        Case(3, 0.03, units=800, kind="per_image", gap=0.17), Case(5, 0.05, units=400, kind="per_image", gap=0.17),
        Case(5, 0.05, units=100, kind="per_image", gap=0.17, equal_at_gap=True),
    ]  # fmt: skip


def advice_cases() -> list[Advice]:
    """The grid on which advice must hold: what 5 more seeds would find; and where images limit, three times as many."""
    grid = [
        Advice(seeds, sd, units) for seeds in (2, 3, 4, 5) for sd in (0.05, 0.1, 0.2, 0.4) for units in (20, 60, 200)
    ]
    images = [Advice(seeds, 0.05, units, 0, 2 * units) for seeds in (1, 5) for units in (20, 60, 200)]
    return [*grid, *images]


def measured(case: Case, repeats: int) -> dict[str, Any]:
    """A row of the table."""
    found = simulate(case, repeats)
    share = found.tested.mean()
    units, seeds = found.variances.mean(axis=0)
    return {
        **asdict(case), "truth": found.truth, "repeats": repeats, "tested": float(share), "ratio": float(seeds / units),
        "decided": float(found.decided.mean()), "found": float(found.found.mean()), "equal": float(found.equal.mean()),
        "covered": float(found.covered[found.tested].mean()) if share else None,
    }  # fmt: skip


def described(row: dict[str, Any]) -> str:
    """A row of the page's table: what was drawn, wrong verdicts (nothing differs), coverage."""
    held = f", a class in {row['held'][-1]}" if row["held"] else ""
    ties = f", {100 * row['ties']:.0f} % ties" if row["ties"] else ""
    more = f"{', paired seeds' if row['paired'] else ''}, {row['variants']} variants"
    kind = row["kind"].replace("_", " ")
    wrong = "-" if row["truth"] else f"{100 * row['decided']:.1f}"
    covered = "not tested" if row["covered"] is None else f"{100 * row['covered']:.1f}"
    return (
        f"| {row['units']} {'groups' if row['grouped'] else 'images'}{held}{ties}{more} | {row['seeds']} | {row['sd_seed']:g} | "
        f"{100 * row['false_positives']:g} | {kind} | {wrong} | {covered} |"
    )


def advice_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The page's table of the grid: by seeds and their spread, the seeds advised and the power that they give."""
    by = {(row["seeds"], row["sd_seed"], row["units"]): row for row in rows if row["more_seeds"]}
    lines = []
    for seeds, sd in dict.fromkeys((seeds, sd) for seeds, sd, _ in by):
        cells = [by[seeds, sd, units] for units in (20, 60, 200)]
        said = " | ".join(f"{row['median']:.0f}: {100 * row['power']:.0f} %" for row in cells)
        lines.append(f"| {seeds} | {sd:g} | {said} |")
    return lines


def smallest_gap(units: int, seeds: int, sd_unit: float = 10.0, sd_seed: float = 1.0) -> float:
    """The gap in points that the t test of one pair finds with a power of 80 %.

    `sd_unit`: standard deviation over units of the difference of two models; `sd_seed`: of a variant's score over seeds,
    which enters from 3 seeds.
    """
    from scipy.special import stdtrit

    one, each = sd_unit**2 / units, sd_seed**2 / seeds if seeds >= MINIMUM_SEEDS else 0.0
    variance = one + 2 * each
    df = variance**2 / (one**2 / (units - 1) + (2 * each**2 / (seeds - 1) if each else 0.0))
    return float(np.sqrt(variance) * (stdtrit(df, 0.975) + stdtrit(df, 0.8)))


def _measured(task: tuple[Case | Advice, int]) -> dict[str, Any]:
    case, repeats = task
    return measured(case, repeats) if isinstance(case, Case) else advised(case, repeats // 2)


def main() -> None:
    """Write the results as JSON lines, one row at a time; rows that the file has are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=4000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    given = parser.parse_args()
    start = time.perf_counter()
    kept = given.out.read_text(encoding="utf-8").splitlines() if given.out.exists() else []
    tasks = [
        (case, given.repeats) for case in all_cases() if not any(is_row_of(case, json.loads(line)) for line in kept)
    ]
    with Pool(given.processes) as pool, given.out.open("a", encoding="utf-8") as file:
        for row in pool.imap(_measured, tasks):
            line = json.dumps(row)
            print(line, flush=True)
            file.write(line + "\n")
            file.flush()
    print(f"{time.perf_counter() - start:.0f} s")


def all_cases() -> list[Case | Advice]:
    """A case per row, in the order of the page."""
    return [*null_cases(), *other_cases(), *advice_cases()]


def is_row_of(case: Case | Advice, row: dict[str, Any]) -> bool:
    """Whether a row is of this case."""
    of = json.loads(json.dumps(asdict(case)))
    return ("more_seeds" in row) == isinstance(case, Advice) and all(row[name] == value for name, value in of.items())


if __name__ == "__main__":
    main()
