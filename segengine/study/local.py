"""The runs of a study, sequentially in this process: finished runs are kept, interrupted runs resume."""

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
from segengine.runs.plugins import PluginChange, changes, deciding_packages
from segengine.specs.experiment import Experiment
from segengine.study.finished_data import check_finished_data
from segengine.study.plan import Outcome, RunPlan
from segengine.training.request import RunRequest
from segengine.training.trainer import train_run

logger = logging.getLogger(__name__)


def request_of(plan: RunPlan) -> RunRequest:
    """The training request of a plan."""
    return RunRequest(plan.loaded, plan.variant, plan.seed, plan.fold, RunFolder(plan.folder))


def unfinished(plans: Iterable[RunPlan]) -> list[RunPlan]:
    """The plans whose runs are new or unfinished.

    Raises:
        SpecError: a folder contains a run with different settings.
    """
    return [plan for plan in plans if request_of(plan).state() != "finished"]


def accept_plugins(plans: Iterable[RunPlan], listener: Listener) -> None:
    """Record changed plugins of interrupted runs in run.json, so that the runs can be resumed with them."""
    for plan in plans:
        for change in request_of(plan).accept_plugins():
            listener(Note(f"{plan.folder}: resumes with {change.package} {change.now}, started with {change.then}"))


def prepare_folders(plans: Iterable[RunPlan], *, fresh: bool, listener: Listener) -> None:
    """Check every run's folder before training; with `fresh`, set existing runs aside.

    Raises:
        SpecError: a folder contains a run with different settings or plugins, or a finished run with different data.
    """
    finished = []
    for plan in plans:
        request = request_of(plan)
        if fresh and request.folder.exists:
            with request.folder.locked():
                pass  # no process uses it
            aside = request.folder.set_aside()
            listener(Note(f"{request.folder.path}: the earlier run was moved to {aside}"))
        if request.state() == "finished":
            finished.append(plan)
            for change in changes(request.folder.read(), deciding_packages(request.resolved())):
                listener(Note(f"{plan.folder}: finished with {change.package} {change.then}, {_installed(change)}"))
    check_finished_data(finished, listener)


def _installed(change: PluginChange) -> str:
    if change.only_files:
        return "whose files have changed since; compare lists that as a difference to new runs"
    return f"installed is {change.now}; compare lists that as a difference to new runs; {change.install}"


def execute(
    plans: Iterable[RunPlan],
    world: World,
    listener: Listener,
    stop_wanted: Callable[[], bool],
    *,
    datasets: Datasets | None = None,
    patience: float = 0.0,
) -> Iterator[Outcome]:
    """Run all unfinished runs. Other runs continue after a failure; after a stop request no further run starts.

    `patience` is the timeout in seconds for a folder locked by another process.
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
    """One run with its folder locked; data is read first, so that invalid data leaves no run folder."""
    if not _is_finished(request, world):
        dataset = datasets.of(request.experiment, request.fold)
        with ExitStack() as stack:
            _enter_alone(request, world, stack, patience)
            if not _is_finished(request, world):  # by another process meanwhile
                return train_run(request, dataset, world, listener, stop_wanted)
    listener(Note(f"{request.folder.path}: already finished"))
    return request.folder.read()


def _is_finished(request: RunRequest, world: World) -> bool:
    """Decided by rank 0: other ranks may check after it has started training."""
    return bool(world.gathered(request.state() == "finished" if world.main else None)[0])


def _enter_alone(request: RunRequest, world: World, stack: ExitStack, patience: float) -> None:
    """Lock the folder in rank 0; a failure is raised in every process."""
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
    """The message of a run's error."""
    known = error if isinstance(error, RunError) else explained(error)
    return str(known) if known else unexpected(error)


def only_this_run(error: Exception, processes: int) -> bool:
    """Whether other runs can continue: not after an invalid request, nor if other processes wait for this one."""
    if isinstance(error, SegengineError) and not isinstance(error, MachineError):
        return error.exit_code == 1
    return processes == 1


class Datasets:
    """Cache of one decoded data set, shared by consecutive runs with equal data section and fold."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.key = ""
        self.dataset: Dataset | None = None

    def of(self, experiment: Experiment, fold: int | None) -> Dataset:
        key = json.dumps([experiment.data.model_dump(mode="json"), fold], sort_keys=True)
        if self.dataset is None or key != self.key:
            self.dataset = None  # free its memory first
            self.dataset = load_dataset(experiment, fold, self.listener)
            for warning in self.dataset.warnings:
                self.listener(Note(warning))
        self.key = key
        return self.dataset
