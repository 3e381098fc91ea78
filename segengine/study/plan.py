"""Planned runs of an experiment file, and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segengine.errors import SpecError
from segengine.registry import suggest
from segengine.specs.experiment import Experiment
from segengine.specs.load import LoadedExperiment, run_name


@dataclass(frozen=True)
class RunPlan:
    """One run: a variant with a seed, and a fold with cross-validation."""

    loaded: LoadedExperiment
    variant: str
    seed: int
    fold: int | None
    out: Path

    @property
    def experiment(self) -> Experiment:
        return self.loaded.variants[self.variant]

    @property
    def name(self) -> str:
        return run_name(self.variant, self.seed, self.fold)

    @property
    def folder(self) -> Path:
        return self.out / self.loaded.name / self.name


@dataclass(frozen=True)
class Outcome:
    """Outcome of one run of a study. `run` is its run.json, None if missing."""

    plan: RunPlan
    status: Literal["finished", "failed", "interrupted", "not started"]
    message: str
    run: Mapping[str, Any] | None


def plans(
    loaded: LoadedExperiment, out: Path, variants: Sequence[str] = (), seeds: Sequence[int] = ()
) -> list[RunPlan]:
    """All runs of the file, or those of some variants and seeds; ordered by seed, so that variants can be compared early.

    Raises:
        SpecError: unknown variant or seed, or an `out` that can't be a folder.
    """
    if blocking := next((part for part in (out, *out.parents) if part.exists() and not part.is_dir()), None):
        raise SpecError(f"--out {out}: {blocking} is a file; give the path of a folder")
    for name in variants:
        if name not in loaded.variants:
            known = ", ".join(loaded.variants)
            raise SpecError(
                f"--variant {name}: {loaded.path} has no such variant; {suggest(name, loaded.variants) or 'it has ' + known}"
            )
    for seed in seeds:
        if seed not in loaded.seeds:
            raise SpecError(
                f"--seed {seed}: {loaded.path} has seeds {', '.join(map(str, loaded.seeds))}; add it there, or -s seeds=[{seed}]"
            )
    folds = {name: loaded.variants[name].data.split.chosen_folds for name in variants or loaded.variants}
    parts = [(fold, variant) for variant, chosen in folds.items() for fold in chosen]
    parts.sort(key=lambda part: part[0] or 0)  # the variants of a fold share its decoded data
    return [RunPlan(loaded, variant, seed, fold, out) for seed in seeds or loaded.seeds for fold, variant in parts]
