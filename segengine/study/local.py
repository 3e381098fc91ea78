"""The runs of a study, one after the other in this process: what is finished stays, what was interrupted goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from segengine.building.dataset import load_dataset
from segengine.data.batches.dataset import Dataset
from segengine.engine.distributed import World
from segengine.engine.machine_errors import MachineError, explained
from segengine.errors import RunError, SegengineError, unexpected
from segengine.events import Listener, Note, RunEnded
from segengine.runs.folder import RunFolder
from segengine.specs.experiment import Experiment
from segengine.study.finished_data import check_finished_data
from segengine.study.plan import Outcome, RunPlan
from segengine.training.request import RunRequest
from segengine.training.trainer import train_run

logger = logging.getLogger(__name__)


def request_of(plan: RunPlan) -> RunRequest:
    """The plan as the workflow takes it."""
    return RunRequest(plan.loaded, plan.variant, plan.seed, plan.fold, RunFolder(plan.folder))


def unfinished(plans: Iterable[RunPlan]) -> list[RunPlan]:
    """Those that a run has to make or to finish.

    Raises:
        SpecError: a folder holds a run with other settings.
    """
    return [plan for plan in plans if request_of(plan).state() != "finished"]


def prepare_folders(plans: Iterable[RunPlan], *, fresh: bool, listener: Listener) -> None:
    """Check every run's folder before anything is spent; with `fresh`, set existing ones aside.

    Raises:
        SpecError: a folder holds a run with other settings, or a finished one with other data.
    """
    finished = []
    for plan in plans:
        request = request_of(plan)
        if fresh and request.folder.exists:
            with request.folder.locked():
                pass  # nobody works in it
            aside = request.folder.set_aside()
            listener(Note(f"{request.folder.path}: the earlier run was moved to {aside}"))
        if request.state() == "finished":
            finished.append(plan)
    check_finished_data(finished, listener)


def execute(
    plans: Iterable[RunPlan],
    world: World,
    listener: Listener,
    stop_wanted: Callable[[], bool],
    *,
    datasets: Datasets | None = None,
    patience: float = 0.0,
) -> Iterator[Outcome]:
    """Run what isn't finished. A run that fails costs only itself; once a stop is wanted, the rest isn't started.

    `patience` is how many seconds to wait for another process that works on a run.
    """
    datasets, stopped, ended = datasets or Datasets(listener), False, set[Path]()

    def tell(event: Any) -> None:
        if isinstance(event, RunEnded):
            ended.add(event.folder)
        listener(event)

    for plan in plans:
        request = request_of(plan)
        stopped = stopped or world.total([float(stop_wanted())])[0] > 0
        if stopped:
            yield Outcome(plan, "not started", "", None)
            continue
        try:
            run = _run(request, datasets, world, tell, stop_wanted, patience=patience)
        except Exception as error:
            if not only_this_run(error, world.size):
                raise
            logger.debug("%s failed", request.folder.path, exc_info=True)
            message = error_text(error)
            if request.folder.path not in ended:
                listener(RunEnded(request.folder.path, "failed", message))
            yield Outcome(plan, "failed", message, None)
            continue
        stopped = run["status"] == "interrupted"
        yield Outcome(plan, run["status"], str(run.get("message", "")), run)


def _run(
    request: RunRequest,
    datasets: Datasets,
    world: World,
    listener: Listener,
    stop_wanted: Callable[[], bool],
    *,
    patience: float,
) -> Mapping[str, Any]:
    """One run, alone in its folder; data is read first, so that what is wrong with it leaves no folder behind."""
    if not _is_finished(request, world):
        dataset = datasets.of(request.experiment, request.fold)
        with ExitStack() as stack:
            _enter_alone(request, world, stack, patience)
            if not _is_finished(request, world):  # by another process meanwhile
                return train_run(request, dataset, world, listener, stop_wanted)
    listener(Note(f"{request.folder.path}: already finished"))
    return request.folder.read()


def _is_finished(request: RunRequest, world: World) -> bool:
    """As the main process sees it: the others may look when it already works."""
    return bool(world.gathered(request.state() == "finished" if world.main else None)[0])


def _enter_alone(request: RunRequest, world: World, stack: ExitStack, patience: float) -> None:
    """Lock the folder in the main process; where that fails, every process says so."""
    problem = ""
    if world.main:
        try:
            stack.enter_context(request.folder.locked(patience))
        except RunError as error:
            problem = str(error)
    problem = world.gathered(problem)[0]
    if problem:
        raise RunError(problem)


def error_text(error: Exception) -> str:
    """What a run's error is called in tables."""
    known = error if isinstance(error, RunError) else explained(error)
    return str(known) if known else unexpected(error)


def only_this_run(error: Exception, processes: int) -> bool:
    """Whether other runs can go on: not after a wrong request, nor where other processes may wait for this one."""
    if isinstance(error, SegengineError) and not isinstance(error, MachineError):
        return error.exit_code == 1
    return processes == 1


class Datasets:
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
