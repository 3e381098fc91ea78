"""The models compared: counts of the same images per variant and seed, with folds combined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.load import LoadedRun
from segengine.errors import ComparisonError
from segengine.metrics.stacked import Stacked


@dataclass(frozen=True, eq=False)
class Model:
    """One variant with one seed: its runs (one per fold) and its counts int64 [N, 3, K]."""

    variant: str
    seed: int
    runs: tuple[LoadedRun, ...]
    stacked: Stacked
    image_values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Of other metrics, by label: float64 [N, K] (or [N, 1]), NaN where an image has no value that counts in tables."""
    own_values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """The same with all values that the model has: pairs are compared over the images in which both have one."""
    undefined: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Of the same metrics: where truth or prediction alone has the class, so that there is no value, bool [N, K]."""


@dataclass(frozen=True, eq=False)
class Models:
    """All models. Row i of the counts of each model is image `ids[i]` of group `groups[i]` (patient, video)."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    models: tuple[Model, ...]

    def by_variant(self) -> Mapping[str, list[Model]]:
        """The models of each variant, by seed; variants in the order of their first run."""
        result: dict[str, list[Model]] = {}
        for model in self.models:
            result.setdefault(model.variant, []).append(model)
        return result


def variant_names(runs: Sequence[LoadedRun]) -> list[str]:
    """Display name of each run's variant; prefixed by its experiment if there are several experiments."""
    several = len({run.record.experiment for run in runs}) > 1
    return [f"{run.record.experiment}/{run.record.variant}" if several else run.record.variant for run in runs]


def models_of(runs: Sequence[LoadedRun], split: str, tables: Sequence[Stacked]) -> Models:
    """Runs by variant and seed; `tables` are their counts on `split`.

    Raises:
        ComparisonError: two runs are the same variant, seed and fold, or a variant lacks folds that others have.
    """
    parts: dict[tuple[str, int], dict[int | None, int]] = {}
    for i, (run, variant) in enumerate(zip(runs, variant_names(runs), strict=True)):
        folds = parts.setdefault((variant, run.record.seed), {})
        if run.record.fold in folds:
            twin = runs[folds[run.record.fold]].folder.path
            raise ComparisonError(
                f"{twin} and {run.folder.path} are both {variant} with seed {run.record.seed}; name one of them"
            )
        folds[run.record.fold] = i
    everywhere = {fold for folds in parts.values() for fold in folds}
    for (variant, seed), folds in parts.items():
        if lacking := everywhere - set(folds):
            what = ", ".join(sorted(map(str, lacking - {None}))) or "that is no fold"
            raise ComparisonError(
                f"{variant} with seed {seed} lacks a finished run of fold {what}; `segengine run` makes what is missing"
            )
    order = list(next(iter(parts.values()), {}))
    rows = [
        (runs[i].images[index])
        for i in (next(iter(parts.values()))[fold] for fold in order)
        for index in runs[i].indices(split)
    ]
    models = [
        Model(
            variant,
            seed,
            tuple(runs[folds[fold]] for fold in order),
            np.concatenate([tables[folds[fold]] for fold in order]),
        )
        for (variant, seed), folds in parts.items()
    ]
    return Models(tuple(row.id for row in rows), tuple(row.group for row in rows), tuple(models))
