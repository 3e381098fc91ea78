"""Running a study with an executor: each run in its own process, so that a crash affects one run only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Protocol

from segengine.components.jobs import Execute, Job, JobEnded, JobPlacement, Work
from segengine.events import Note
from segengine.runs.folder import RunFolder
from segengine.study.crashes import crash_message, record_crash
from segengine.study.local import Datasets, error_text, only_this_run, unfinished
from segengine.study.plan import Outcome, RunPlan
from segengine.study.threads import single_threaded
from segengine.study.wire import JobResult, event_of, line_of
from segengine.study.worker import do, document_of

_LIBRARIES = ("timm", "segmentation_models_pytorch", "safetensors.torch", "matplotlib.figure")
"""Libraries that nearly every run uses: imported once before forking, which saves seconds per run."""


class StudyListener(Protocol):
    """Receives the events of a study."""

    def __call__(self, event: Any) -> None:
        """An event that belongs to no run."""

    def run_event(self, plan: RunPlan, event: Any) -> None:
        """An event of a run."""

    def run_ended(self, outcome: Outcome) -> None:
        """A run finished, failed or was interrupted."""

    def tick(self) -> None:
        """Called several times per second."""


def conduct(
    plans: Sequence[RunPlan], execute: Execute, device: str, listener: StudyListener, stop_wanted: Callable[[], bool]
) -> Iterator[Outcome]:
    """Run all unfinished runs; after a stop request, running ones save and exit, and no further run starts.

    Raises:
        SegengineError: invalid request of a run; other running runs save and exit first.
    """
    waiting = {plan.name: plan for plan in unfinished(plans)}
    for plan in (plan for plan in plans if plan.name not in waiting):
        listener(Note(f"{plan.folder}: already finished"))
        yield _reported(listener, Outcome(plan, "finished", "", RunFolder(plan.folder).read()))
    context = _StudyContext(device, listener, stop_wanted, dict(waiting))
    if not waiting:
        return
    with single_threaded() as restore_threads:
        datasets = Datasets(listener)
        jobs = (_job(plan, datasets, restore_threads) for plan in waiting.values())
        for ended in execute(jobs, context):
            plan = context.plans.pop(ended.job.name)
            yield _reported(listener, _outcome(plan, ended, context.results.get(ended.job.name)))
    for plan in context.plans.values():
        yield _reported(listener, Outcome(plan, "not started", "", None))


def _reported(listener: StudyListener, outcome: Outcome) -> Outcome:
    listener.run_ended(outcome)
    return outcome


@dataclass
class _StudyContext:
    """Callbacks of the executor; `results` by run, `plans` of the runs that haven't ended."""

    device: str
    listener: StudyListener
    stop_wanted: Callable[[], bool]
    plans: dict[str, RunPlan]
    results: dict[str, JobResult] = field(default_factory=dict)

    def tell(self, job: Job, line: str) -> None:
        event = event_of(line)
        if isinstance(event, JobResult):
            self.results[job.name] = event
        elif event is not None:
            self.listener.run_event(self.plans[job.name], event)

    def tick(self) -> None:
        self.listener.tick()


def _outcome(plan: RunPlan, ended: JobEnded, result: JobResult | None) -> Outcome:
    if result is None:
        message = crash_message(ended)
        record_crash(RunFolder(plan.folder), message, ended.output)
        return Outcome(plan, "failed", message, None)
    if result.refusal:
        raise result.error()
    folder = RunFolder(plan.folder)
    run: Mapping[str, Any] | None = folder.read() if result.status != "failed" and folder.exists else None
    return Outcome(plan, result.status, result.message, run)  # type: ignore[arg-type]


def _job(plan: RunPlan, datasets: Datasets, restore_threads: Callable[[], None]) -> Job:
    return Job(plan.name, document_of(plan), lambda: _work(plan, datasets, restore_threads))


def _work(plan: RunPlan, datasets: Datasets, restore_threads: Callable[[], None]) -> Work:
    """The work of a forked process; the data is read in this process, once for all forks."""
    for library in _LIBRARIES:
        import_module(library)
    try:
        datasets.of(plan.experiment, plan.fold)
    except Exception as error:
        if not only_this_run(error, processes=1):
            raise
        message = error_text(error)
        return partial(_only_report, JobResult("failed", message))

    def work(placement: JobPlacement, send: Callable[[str], None]) -> int:
        restore_threads()
        return do(plan, placement, send, datasets)

    return work


def _only_report(result: JobResult, placement: JobPlacement, send: Callable[[str], None]) -> int:  # noqa: ARG001
    send(line_of(result))
    return 1
