"""The runs of a study, one after the other in this process: what is finished stays, what was interrupted goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from segengine.data.dataset import Dataset
from segengine.engine.world import World
from segengine.errors import RunError
from segengine.runs.folder import RunFolder
from segengine.specs.experiment import Experiment
from segengine.study.plan import RunPlan
from segengine.workflow.data import load_dataset
from segengine.workflow.events import Listener, Note, RunEnded
from segengine.workflow.request import RunRequest
from segengine.workflow.training import train_run


@dataclass(frozen=True)
class Outcome:
    """How one run of a study stands. `run` is its run.json where there is one."""

    plan: RunPlan
    status: Literal["finished", "failed", "interrupted", "not started"]
    message: str
    run: Mapping[str, Any] | None


def request_of(plan: RunPlan) -> RunRequest:
    """The plan as the workflow takes it."""
    return RunRequest(plan.loaded, plan.variant, plan.seed, plan.fold, RunFolder(plan.folder))


def prepare_folders(plans: Iterable[RunPlan], *, fresh: bool, listener: Listener) -> None:
    """Check every run's folder before anything is spent; with `fresh`, set existing ones aside.

    Raises:
        SpecError: a folder holds a run with other settings.
    """
    for plan in plans:
        request = request_of(plan)
        if fresh and request.folder.exists:
            with request.folder.locked():
                pass  # nobody works in it
            aside = request.folder.set_aside()
            listener(Note(f"{request.folder.path}: the earlier run is now {aside}"))
        request.state()


def execute(
    plans: Iterable[RunPlan], world: World, listener: Listener, stop_wanted: Callable[[], bool]
) -> Iterator[Outcome]:
    """Run what isn't finished. A run that fails costs only itself; once a stop is wanted, the rest isn't started."""
    datasets, stopped = _Datasets(listener), False
    for plan in plans:
        request = request_of(plan)
        stopped = stopped or stop_wanted()
        if stopped:
            yield Outcome(plan, "not started", "", None)
            continue
        if request.state() == "finished":
            listener(Note(f"{request.folder.path}: already finished"))
            yield Outcome(plan, "finished", "", request.folder.read())
            continue
        try:
            with request.folder.locked() if world.main else nullcontext():
                dataset = datasets.of(plan.experiment, plan.fold)
                run = train_run(request, dataset, world, listener, stop_wanted)
        except RunError as error:
            if not request.folder.exists:
                listener(RunEnded(request.folder.path, "failed", str(error)))
            yield Outcome(plan, "failed", str(error), None)
            continue
        stopped = run["status"] == "interrupted"
        yield Outcome(plan, run["status"], str(run.get("message", "")), run)


class _Datasets:
    """Decodes data once for all runs whose data section and fold are equal; keeps only the latest."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.key = ""
        self.dataset: Dataset | None = None

    def of(self, experiment: Experiment, fold: int | None) -> Dataset:
        key = json.dumps([experiment.data.model_dump(mode="json"), fold], sort_keys=True)
        if self.dataset is None or key != self.key:
            self.dataset = None  # before the next one takes its memory
            self.dataset = load_dataset(experiment, fold, self.listener)
            for warning in self.dataset.warnings:
                self.listener(Note(warning))
        self.key = key
        return self.dataset
