"""Summary of a comparison: scores by variant, pooled and per image, their spread over seeds, and costs."""

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
from segengine.comparison.load import Candidates, LeftOut, candidates
from segengine.comparison.measures import METRICS, OF_COUNTS, Kind, Measure, Metric, kinds_of
from segengine.comparison.models import Model, Models, models_of, variant_names
from segengine.comparison.only_vary import refuse_other_differences
from segengine.comparison.statistics.ratios import places, unit_ratios
from segengine.errors import ComparisonError, RunError
from segengine.metrics.names import DEFAULT_METRIC
from segengine.metrics.stacked import Stacked
from segengine.runs.values import read_values, stored_labels


@dataclass(frozen=True)
class Spread:
    """A number over seeds: one value per seed, None if undefined; statistics are over the defined values.

    `sd` is the sample standard deviation, None with fewer than two values.
    """

    values: tuple[float | None, ...]
    mean: float | None
    sd: float | None
    minimum: float | None
    maximum: float | None

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread:
        """From one value per seed; NaN is undefined."""
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

    `undefined`: averaged classes that are in neither truth nor prediction for some seed.
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
    """One class in the truth of the compared images: number of images with the class, and of its pixels.

    `averaged`: the comparison's means include it.
    """

    name: str
    averaged: bool
    images: int
    pixels: int


@dataclass(frozen=True)
class Comparison:
    """Contents of the tables. `models` has the counts per image, the input of the statistics.

    All means of all variants are over the same classes: those that the policy averages and that every variant has a score
    of; `undefined` are the others of the policy's. Of a metric with values per image, `undefined_images` has by variant how
    many predictions lack a value though truth or prediction has the class, and how many predictions there are.
    """

    title: str
    split: str
    classes: tuple[ClassFacts, ...]
    variants: tuple[VariantSummary, ...]
    factor: Difference | None
    confounders: tuple[Difference, ...]
    notes: tuple[str, ...]
    others: tuple[LeftOut, ...]
    models: Models
    measures: Mapping[Metric, Measure] = field(default_factory=dict)
    undefined: tuple[str, ...] = ()
    undefined_images: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    undefined_as: Literal["left-out", "worst"] = "left-out"

    def measure(self, metric: Metric) -> Measure:
        """Unit and direction of the metric."""
        return self.measures[metric] if metric in self.measures else OF_COUNTS[metric]

    @property
    def grouped(self) -> bool:
        """Whether images belong to groups (patients, videos); then groups are the sampling unit."""
        return self.group_count < self.image_count

    def kinds(self, metric: Metric) -> tuple[Kind, ...]:
        """The available kinds of mean of a metric."""
        return kinds_of(metric, grouped=self.grouped)

    def headline(self, metric: Metric) -> Kind:
        """The kind of mean used by verdicts, ranks, fronts and figures."""
        kinds = self.kinds(metric)
        return "per_group" if "per_group" in kinds else kinds[0]

    @property
    def averaged(self) -> tuple[str, ...]:
        return tuple(facts.name for facts in self.classes if facts.averaged)

    @property
    def image_count(self) -> int:
        return len(self.models.ids)

    @property
    def group_count(self) -> int:
        return len(set(self.models.groups))


@dataclass(frozen=True)
class Refusal:
    """The reason for a missing table. `unfinished`: no run is finished yet."""

    title: str
    message: str
    others: tuple[LeftOut, ...]
    unfinished: bool = False


def compare_folders(
    paths: Sequence[Path],
    root: Path,
    split: str | None = None,
    only_vary: Sequence[str] = (),
    metric: Metric | None = None,
) -> list[Comparison | Refusal]:
    """Compare the finished runs in `paths` (see `candidates`), or all under `root`.

    Runs with damaged counts or values of `metric` are excluded.

    Raises:
        ComparisonError: a path contains no run.
    """
    results: list[Comparison | Refusal] = []
    for found in candidates(paths, root):
        try:
            results.append(compare(found, split, only_vary, metric or DEFAULT_METRIC))
        except (ComparisonError, RunError) as error:
            results.append(Refusal(found.title, str(error), found.others, unfinished=not found.runs))
    return results


def compare(
    found: Candidates, split: str | None = None, only_vary: Sequence[str] = (), metric: Metric = DEFAULT_METRIC
) -> Comparison:
    """Compare runs in one table, on `split` (default: the test images if available).

    `only_vary`: the only settings (paths) that may differ; if empty, other differences are confounders.

    Raises:
        ComparisonError: no finished run, or the runs are not comparable.
        RunError: counts are missing or damaged.
    """
    if not found.runs:
        states = ", ".join(sorted({other.status for other in found.others}))
        raise ComparisonError(f"no run is finished (they are {states}); `segengine run` continues what was interrupted")
    on = evaluation_split(found.runs, split)
    found, tables = _readable(found, on, metric)
    refuse_if_incomparable(found.runs, on, tables)
    models = models_of(found.runs, on, tables)
    variants_of = variant_names(found.runs)
    factor, confounders = factor_and_confounders(found.runs, variants_of)
    refuse_other_differences(found.runs, [factor, *confounders] if factor else confounders, only_vary)
    policy, names = found.runs[0].record.metric_policy, found.runs[0].record.classes
    wanted = [k for k, name in enumerate(names) if name in policy.averaged]
    has = {name: _present(members) for name, members in models.by_variant().items()}
    averaged = [k for k in wanted if all(present[k] for present in has.values())]
    variants = tuple(_variant(name, members, models, averaged) for name, members in models.by_variant().items())
    variants = tuple(
        replace(variant, undefined=tuple(names[k] for k in wanted if not has[variant.name][k])) for variant in variants
    )
    truth = models.models[0].stacked[:, 1]
    classes = tuple(
        ClassFacts(name, k in averaged, int((truth[:, k] > 0).sum()), int(truth[:, k].sum()))
        for k, name in enumerate(names)
    )
    lacking = [(names[k], [name for name, present in has.items() if present[k]]) for k in wanted if k not in averaged]
    notes = (
        *_notes(on, split, variants, factor),
        *(_lacking(name, having) for name, having in lacking),
        *filter(None, [unlike_architectures(found.runs, variants_of)]),
    )
    return Comparison(
        found.title, on, classes, variants, factor, tuple(confounders), notes, found.others, models,
        undefined=tuple(name for name, _ in lacking),
    )  # fmt: skip


def _readable(found: Candidates, split: str, metric: Metric) -> tuple[Candidates, list[Stacked]]:
    """Runs with readable counts and metric values, with their counts; others are excluded with the reason.

    Raises:
        RunError: no run's counts can be read.
    """
    tables, runs, damaged = [], [], []
    for run in found.runs:
        try:
            for label in stored_labels(run.folder, split):
                if label == metric or label.startswith(f"{metric}-"):
                    read_values(run.folder, split, label, run.indices(split))
            tables.append(run.stacked(split))
            runs.append(run)
        except RunError as error:
            damaged.append(LeftOut(run.name, "unreadable", str(error)))
    if not runs:
        raise RunError(damaged[0].message)
    return replace(found, runs=tuple(runs), others=(*found.others, *damaged)), tables


def _present(members: Sequence[Model]) -> NDArray[np.bool_]:
    """Whether each class is in truth or prediction, for every seed: bool [K]."""
    return np.asarray(np.all([model.stacked[:, 1:].any(axis=(0, 1)) for model in members], axis=0))


def _lacking(name: str, having: Sequence[str]) -> str:
    """Why an averaged class is excluded from the means."""
    predicted = f"only {', '.join(having)} predicted it" if having else "not every seed of any variant predicted it"
    return f"the means are without {name}: no truth has it, and {predicted}"


def _variant(name: str, members: Sequence[Model], models: Models, averaged: Sequence[int]) -> VariantSummary:
    runs = [run for model in members for run in model.runs]
    kinds = kinds_of(DEFAULT_METRIC, grouped=len(set(models.groups)) < len(models.groups))
    return VariantSummary(
        name=name,
        seeds=tuple(model.seed for model in members),
        runs=tuple(run.name for run in runs),
        scores={
            (metric, kind): score_table(members, models.groups, metric, kind, averaged)
            for metric in METRICS
            for kind in kinds
        },
        undefined=(),
        parameters=runs[0].record.parameters,
        macs=runs[0].record.macs,
        images_per_second=Spread.of([run.record.images_per_second for run in runs]),
        minutes=Spread.of([None if r.record.train_seconds is None else r.record.train_seconds / 60 for r in runs]),
    )


def score_table(
    members: Sequence[Model], groups: Sequence[str], metric: Metric, kind: Kind, averaged: Sequence[int]
) -> ScoreTable:
    """One variant's scores by seed, from the same sums as the statistics; a mean is undefined if one of its classes is."""
    scores = []
    for model in members:
        above, below = (values.sum(axis=0) for values in unit_ratios(model, places(groups), metric, kind))
        scores.append(np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0))
    means = [float(each[list(averaged)].mean()) if averaged else None for each in scores]
    by_class = tuple(Spread.of([float(each[k]) for each in scores]) for k in range(len(scores[0])))
    return ScoreTable(Spread.of(means), by_class)


def _notes(split: str, wanted: str | None, variants: Sequence[VariantSummary], factor: Difference | None) -> list[str]:
    notes = []
    if wanted is None and split != "test":
        chosen = ", which also chose the checkpoints" if split == "validation" else ", on which the models were trained"
        notes.append(f"there are no test scores: these are of the {split} images{chosen}, so they flatter")
    if len({variant.seeds for variant in variants}) > 1:
        said = "; ".join(f"{variant.name} {', '.join(map(str, variant.seeds))}" for variant in variants)
        notes.append(f"the variants have different seeds: {said}")
    if len(variants) > 1 and factor is None:
        notes.append("no setting differs between the variants")
    return notes
