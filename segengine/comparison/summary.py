"""One comparison: scores by variant, pooled and per image, their spread over seeds, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.circumstances import unlike_architectures
from segengine.comparison.confounders import Difference, factor_and_confounders
from segengine.comparison.guard import evaluation_split, refuse_if_incomparable
from segengine.comparison.load import Candidates, LeftOut, LoadedRun, candidates
from segengine.comparison.measures import SHARE, Measure
from segengine.comparison.only_vary import refuse_other_differences
from segengine.comparison.units import Unit, Units, units_of, variant_names
from segengine.errors import ComparisonError, RunError
from segengine.metrics.scores import Scores, evaluate_stacked
from segengine.metrics.stacked import Stacked

Metric = str
"""`dice` or `iou`, or the label of a metric whose values of each image were read: `hd95`, `nsd-tolerance-2`."""
METRICS: tuple[Metric, ...] = ("dice", "iou")
Kind = Literal["pooled", "per_image"]
KINDS: tuple[Kind, ...] = ("pooled", "per_image")


def kinds_of(metric: Metric) -> tuple[Kind, ...]:
    """Counts can be pooled; other metrics have a value for each image."""
    return KINDS if metric in METRICS else ("per_image",)


@dataclass(frozen=True)
class Spread:
    """A number over seeds: one value a seed, None where undefined; all else is over those that are defined.

    `sd` is the sample standard deviation, None with fewer than two values.
    """

    values: tuple[float | None, ...]
    mean: float | None
    sd: float | None
    minimum: float | None
    maximum: float | None

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread:
        """Of one value a seed; NaN is undefined."""
        plain = tuple(None if value is None or np.isnan(value) else float(value) for value in values)
        known = [value for value in plain if value is not None]
        if not known:
            return cls(plain, None, None, None, None)
        sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
        return cls(plain, float(np.mean(known)), sd, min(known), max(known))


@dataclass(frozen=True)
class ScoreTable:
    """One metric of one kind: the mean over the averaged classes, and each class (by index)."""

    mean: Spread
    classes: tuple[Spread, ...]


@dataclass(frozen=True)
class VariantSummary:
    """One variant. `scores[metric, kind]`; `minutes` and `images_per_second` are training's, over its runs.

    `undefined`: averaged classes that are in neither truth nor prediction for a seed, so that a mean is over the others.
    """

    name: str
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    scores: dict[tuple[Metric, Kind], ScoreTable]
    undefined: tuple[str, ...]
    parameters: int | None
    macs: int | None
    images_per_second: Spread
    minutes: Spread


@dataclass(frozen=True)
class ClassFacts:
    """One class in the truth of the compared images: how many of them hold it, with how many pixels."""

    name: str
    averaged: bool
    images: int
    pixels: int


@dataclass(frozen=True)
class Comparison:
    """A table's contents. `units` keeps the counts of each image, which statistics start from.

    `left_out` has, for a metric of each image, in how many images some class counts for no model, as not all have a value.
    """

    title: str
    split: str
    classes: tuple[ClassFacts, ...]
    variants: tuple[VariantSummary, ...]
    factor: Difference | None
    confounders: tuple[Difference, ...]
    notes: tuple[str, ...]
    others: tuple[LeftOut, ...]
    units: Units
    measures: Mapping[Metric, Measure] = field(default_factory=dict)
    left_out: Mapping[Metric, int] = field(default_factory=dict)

    def measure(self, metric: Metric) -> Measure:
        """What the metric's numbers are in, and which are better."""
        return self.measures.get(metric, SHARE)

    @property
    def averaged(self) -> tuple[str, ...]:
        return tuple(facts.name for facts in self.classes if facts.averaged)

    @property
    def image_count(self) -> int:
        return len(self.units.ids)

    @property
    def group_count(self) -> int:
        return len(set(self.units.groups))


@dataclass(frozen=True)
class Refusal:
    """A table that can't be made, and why. `unfinished`: only because no run is finished yet."""

    title: str
    message: str
    others: tuple[LeftOut, ...]
    unfinished: bool = False


def compare_folders(
    paths: Sequence[Path], root: Path, split: str | None = None, only_vary: Sequence[str] = ()
) -> list[Comparison | Refusal]:
    """Compare the finished runs in `paths` (see `candidates`), or all under `root`.

    Raises:
        ComparisonError: a path holds no run.
    """
    results: list[Comparison | Refusal] = []
    for found in candidates(paths, root):
        try:
            results.append(compare(found, split, only_vary))
        except (ComparisonError, RunError) as error:
            results.append(Refusal(found.title, str(error), found.others, unfinished=not found.runs))
    return results


def compare(found: Candidates, split: str | None = None, only_vary: Sequence[str] = ()) -> Comparison:
    """Compare runs that are to stand in one table, on `split` (the test images where there are some, unless given).

    `only_vary`: paths of settings outside of which nothing may differ; without any, other differences are confounders.

    Raises:
        ComparisonError: there is no finished run, or the runs can't be compared.
        RunError: counts are missing or damaged.
    """
    if not found.runs:
        states = ", ".join(sorted({other.status for other in found.others}))
        raise ComparisonError(f"no run is finished (they are {states}); `segengine run` continues what was interrupted")
    on = evaluation_split(found.runs, split)
    found, tables = _readable(found, on)
    refuse_if_incomparable(found.runs, on, tables)
    units = units_of(found.runs, on, tables)
    variants_of = variant_names(found.runs)
    factor, confounders = factor_and_confounders(found.runs, variants_of)
    refuse_other_differences(found.runs, [factor, *confounders] if factor else confounders, only_vary)
    policy, names = found.runs[0].record.metric_policy, found.runs[0].record.classes
    averaged = [k for k, name in enumerate(names) if name in policy.averaged]
    variants = tuple(_variant(name, members, averaged) for name, members in units.by_variant().items())
    truth = units.units[0].stacked[:, 1]
    classes = tuple(
        ClassFacts(name, k in averaged, int((truth[:, k] > 0).sum()), int(truth[:, k].sum()))
        for k, name in enumerate(names)
    )
    notes = (*_notes(on, split, variants, factor), *filter(None, [unlike_architectures(found.runs, variants_of)]))
    return Comparison(found.title, on, classes, variants, factor, tuple(confounders), notes, found.others, units)


def _readable(found: Candidates, split: str) -> tuple[Candidates, list[Stacked]]:
    """The runs whose counts can be read, with their counts; the others are left out with the reason.

    Raises:
        RunError: no run's counts can be read.
    """
    tables, runs, damaged = [], [], []
    for run in found.runs:
        try:
            tables.append(run.stacked(split))
            runs.append(run)
        except RunError as error:
            damaged.append(LeftOut(run.name, "unreadable", str(error)))
    if not runs:
        raise RunError(damaged[0].message)
    return replace(found, runs=tuple(runs), others=(*found.others, *damaged)), tables


def _variant(name: str, members: Sequence[Unit], averaged: Sequence[int]) -> VariantSummary:
    each = [evaluate_stacked(unit.stacked) for unit in members]
    classes = members[0].runs[0].record.classes
    runs = [run for unit in members for run in unit.runs]
    undefined = [classes[k] for k in averaged if any(np.isnan(scores.pooled["dice"][k]) for scores in each)]
    return VariantSummary(
        name=name,
        seeds=tuple(unit.seed for unit in members),
        runs=tuple(run.name for run in runs),
        scores={(metric, kind): _table(each, metric, kind, averaged) for metric in METRICS for kind in KINDS},
        undefined=tuple(undefined),
        parameters=runs[0].record.parameters,
        macs=runs[0].record.macs,
        images_per_second=Spread.of([run.record.images_per_second for run in runs]),
        minutes=Spread.of([_minutes(run) for run in runs]),
    )


def _minutes(run: LoadedRun) -> float | None:
    return None if run.record.train_seconds is None else run.record.train_seconds / 60


def _table(each: Sequence[Scores], metric: Metric, kind: Kind, averaged: Sequence[int]) -> ScoreTable:
    def values(scores: Scores) -> NDArray[np.float64]:
        return (scores.pooled if kind == "pooled" else scores.per_image)[metric]

    return ScoreTable(
        Spread.of([scores.mean(averaged, score=metric, per_image=kind == "per_image") for scores in each]),
        tuple(Spread.of([float(values(scores)[k]) for scores in each]) for k in range(len(each[0].pixels))),
    )


def _notes(split: str, wanted: str | None, variants: Sequence[VariantSummary], factor: Difference | None) -> list[str]:
    notes = []
    if wanted is None and split != "test":
        chosen = ", which also chose the checkpoints" if split == "validation" else ", on which the models were trained"
        notes.append(f"there are no test scores: these are of the {split} images{chosen}, so they flatter")
    if len({variant.seeds for variant in variants}) > 1:
        said = "; ".join(f"{variant.name} {', '.join(map(str, variant.seeds))}" for variant in variants)
        notes.append(f"the variants have different seeds: {said}")
    notes += [
        f"{variant.name}: {', '.join(variant.undefined)} in neither truth nor prediction, so its mean is over the other classes"
        for variant in variants
        if variant.undefined
    ]
    if len(variants) > 1 and factor is None:
        notes.append("no setting differs between the variants")
    return notes
