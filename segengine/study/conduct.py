"""The runs of a study by an executor: each apart from the others, so that one that crashes costs only itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Protocol

from segengine.components.jobs import Execute, Job, JobEnded, Place, Work
from segengine.events import Note
from segengine.runs.folder import RunFolder
from segengine.study.crashes import crash_message, record_crash
from segengine.study.local import Datasets, error_text, only_this_run, unfinished
from segengine.study.plan import Outcome, RunPlan
from segengine.study.threads import single_threaded
from segengine.study.wire import Told, event_of, line_of
from segengine.study.worker import do, document_of

_LIBRARIES = ("timm", "segmentation_models_pytorch", "safetensors.torch", "matplotlib.figure")
"""What nearly every run imports: once, before the forks, instead of seconds in each."""


class Audience(Protocol):
    """Who watches a study."""

    def __call__(self, event: Any) -> None:
        """Something happened that belongs to no run."""

    def run_said(self, plan: RunPlan, event: Any) -> None:
        """A run told an event."""

    def run_ended(self, outcome: Outcome) -> None:
        """A run is over for now."""

    def tick(self) -> None:
        """Several times a second."""


def conduct(
    plans: Sequence[RunPlan], execute: Execute, device: str, audience: Audience, stop_wanted: Callable[[], bool]
) -> Iterator[Outcome]:
    """Run what isn't finished; once a stop is wanted, running ones save and end and the rest isn't started.

    Raises:
        SegengineError: the request of a run is wrong; what else runs saves and ends first.
    """
    waiting = {plan.name: plan for plan in unfinished(plans)}
    for plan in (plan for plan in plans if plan.name not in waiting):
        audience(Note(f"{plan.folder}: already finished"))
        yield _heard(audience, Outcome(plan, "finished", "", RunFolder(plan.folder).read()))
    desk = _Desk(device, audience, stop_wanted, dict(waiting))
    if not waiting:
        return
    with single_threaded() as restore_threads:
        datasets = Datasets(audience)
        jobs = (_job(plan, datasets, restore_threads) for plan in waiting.values())
        for ended in execute(jobs, desk):
            plan = desk.plans.pop(ended.job.name)
            yield _heard(audience, _outcome(plan, ended, desk.told.get(ended.job.name)))
    for plan in desk.plans.values():
        yield _heard(audience, Outcome(plan, "not started", "", None))


def _heard(audience: Audience, outcome: Outcome) -> Outcome:
    audience.run_ended(outcome)
    return outcome


@dataclass
class _Desk:
    """What the executor tells, by run; `plans` are those that haven't ended."""

    device: str
    audience: Audience
    stop_wanted: Callable[[], bool]
    plans: dict[str, RunPlan]
    told: dict[str, Told] = field(default_factory=dict)

    def tell(self, job: Job, line: str) -> None:
        event = event_of(line)
        if isinstance(event, Told):
            self.told[job.name] = event
        elif event is not None:
            self.audience.run_said(self.plans[job.name], event)

    def tick(self) -> None:
        self.audience.tick()


def _outcome(plan: RunPlan, ended: JobEnded, told: Told | None) -> Outcome:
    if told is None:
        message = crash_message(ended)
        record_crash(RunFolder(plan.folder), message, ended.said)
        return Outcome(plan, "failed", message, None)
    if told.refusal:
        raise told.error()
    folder = RunFolder(plan.folder)
    run: Mapping[str, Any] | None = folder.read() if told.status != "failed" and folder.exists else None
    return Outcome(plan, told.status, told.message, run)  # type: ignore[arg-type]


def _job(plan: RunPlan, datasets: Datasets, restore_threads: Callable[[], None]) -> Job:
    return Job(plan.name, document_of(plan), lambda: _work(plan, datasets, restore_threads))


def _work(plan: RunPlan, datasets: Datasets, restore_threads: Callable[[], None]) -> Work:
    """What a fork of this process does; the data is read here, once for all forks."""
    for library in _LIBRARIES:
        import_module(library)
    try:
        datasets.of(plan.experiment, plan.fold)
    except Exception as error:
        if not only_this_run(error, processes=1):
            raise
        message = error_text(error)
        return partial(_only_tell, Told("failed", message))

    def work(place: Place, tell: Callable[[str], None]) -> int:
        restore_threads()
        return do(plan, place, tell, datasets)

    return work


def _only_tell(told: Told, place: Place, tell: Callable[[str], None]) -> int:  # noqa: ARG001
    tell(line_of(told))
    return 1
