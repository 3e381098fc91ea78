"""Jobs as tasks of a Ray cluster: each starts a Python of its own, so that a crash is no business of Ray's."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from segengine.components.jobs import Desk, Job, JobEnded, Place, wait
from segengine.errors import RunError
from segengine.study.executors.job_process import spawned

_EVERY = 0.5
"""Seconds between two reports of a task."""
_FOR_A_DEAD_NODE = 60.0
"""Seconds that a run waits for its folder, which a process of a node that dies may hold a little longer."""


class Inbox:
    """An actor on the study's machine: takes what tasks tell, and tells them whether a stop is wanted."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[str]]] = []
        self.stopping = False

    def post(self, name: str, lines: list[str]) -> bool:
        """Lines of a job; the answer is whether it is to save and end."""
        self.told.append((name, lines))
        return self.stopping

    def take(self, stop: bool) -> list[tuple[str, list[str]]]:
        """All lines since the last call."""
        self.stopping = self.stopping or stop
        told, self.told = self.told, []
        return told


def task(name: str, document: dict[str, Any], place: Place, inbox: Any) -> tuple[int, str]:
    """A job on whichever node Ray has chosen; returns the exit code, and the last that it said."""
    import ray

    process = spawned(Job(name, document, _nothing_here), place)
    asked = False
    while True:
        code = process.poll()
        stop = ray.get(inbox.post.remote(name, process.lines()))
        if code is not None:
            return code, process.ended(code).said
        if stop and not asked:
            process.send(signal.SIGTERM)
        asked = asked or stop
        time.sleep(_EVERY)


def _nothing_here() -> Any:
    raise AssertionError("data is read where the job is done")


@dataclass
class RayTasks:
    """Runs jobs on a cluster; a node's death costs a run what it did since its last checkpoint."""

    address: str | None
    cpus: float
    gpus: float
    jobs: int | None
    retries: int

    def __call__(self, jobs: Iterator[Job], desk: Desk) -> Iterator[JobEnded]:
        """Hand all jobs to Ray, or as many as are wanted at a time; give each as it ends.

        Raises:
            RunError: there is no such cluster.
        """
        import ray

        self._connect()
        try:
            yield from self._run(jobs, desk)
        finally:
            ray.shutdown()

    def _connect(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would be sent over the network
        on_sigterm = signal.getsignal(signal.SIGTERM)
        import ray

        try:
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            said = " ".join(str(error).split()).split(". ")[0]
            raise RunError(
                f"executor: no Ray cluster at {self.address or os.environ.get('RAY_ADDRESS')} ({said}); start one with "
                "`ray start --head`, or omit `address` to use this machine only"
            ) from error
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts its own there, which end the process

    def _run(self, jobs: Iterator[Job], desk: Desk) -> Iterator[JobEnded]:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(Inbox)
        inbox = actor.options(num_cpus=0, scheduling_strategy=here).remote()
        run = ray.remote(task).options(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries)
        device = "cuda" if self.gpus else "cpu" if desk.device == "auto" else desk.device
        place = Place(device, gpu_part=min(1.0, self.gpus or 1.0))
        running: dict[Any, Job] = {}
        began: set[str] = set()
        while True:
            stopping = desk.stop_wanted()
            while not stopping and (self.jobs is None or len(running) < self.jobs):
                job = next(jobs, None)
                if job is None:
                    break
                document = {**job.document, "patience": _FOR_A_DEAD_NODE}
                running[run.remote(job.name, document, place, inbox)] = job
            if not running:
                return
            wait(desk)
            done, _ = ray.wait(list(running), timeout=_EVERY)
            by_name = {job.name: job for job in running.values()}
            for name, lines in ray.get(inbox.take.remote(stopping)):
                began.add(name)
                for line in lines if name in by_name else ():
                    desk.tell(by_name[name], line)
            if stopping:
                for reference in [r for r, job in running.items() if job.name not in began]:
                    ray.cancel(reference, force=True)
                    del running[reference]
            for reference in (r for r in done if r in running):
                yield _ended(running.pop(reference), reference)


def _ended(job: Job, reference: Any) -> JobEnded:
    import ray

    try:
        code, said = ray.get(reference)
    except ray.exceptions.RayError as error:
        return JobEnded(job, None, message=f"Ray failed the task: {' '.join(str(error).split())[:300]}")
    return JobEnded(job, code, said)
