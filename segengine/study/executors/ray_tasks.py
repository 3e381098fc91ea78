"""Jobs as tasks of a Ray cluster; each task starts a Python process, so that a crash doesn't kill the Ray worker."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from segengine.components.jobs import ExecutorContext, Job, JobEnded, JobPlacement, wait
from segengine.errors import RunError
from segengine.study.executors.job_process import spawned

_EVERY = 0.5
"""Seconds between polls of a task."""
_FOR_A_DEAD_NODE = 60.0
"""Timeout in seconds for the lock of a run folder, which a lost node's process may hold a little longer."""


class Inbox:
    """Ray actor on the study's node: collects events of tasks and returns the stop request."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, list[str]]] = []
        self.stopping = False

    def post(self, name: str, lines: list[str]) -> bool:
        """Add lines of a job; returns whether the job should save and exit."""
        self.lines.append((name, lines))
        return self.stopping

    def take(self, stop: bool) -> list[tuple[str, list[str]]]:
        """All lines since the last call."""
        self.stopping = self.stopping or stop
        lines, self.lines = self.lines, []
        return lines


def task(name: str, document: dict[str, Any], placement: JobPlacement, inbox: Any) -> tuple[int, str]:
    """Run a job on the node chosen by Ray; returns the exit code and the end of the output."""
    import ray

    process = spawned(Job(name, document, _no_prepare), placement)
    asked = False
    while True:
        code = process.poll()
        stop = ray.get(inbox.post.remote(name, process.lines()))
        if code is not None:
            return code, process.ended(code).output
        if stop and not asked:
            process.send(signal.SIGTERM)
        asked = asked or stop
        time.sleep(_EVERY)


def _no_prepare() -> Any:
    raise AssertionError("data is read on the node of the job")


@dataclass
class RayTasks:
    """Runs jobs on a Ray cluster; after the loss of a node its runs resume from their last checkpoints."""

    address: str | None
    cpus: float
    gpus: float
    jobs: int | None
    retries: int

    def __call__(self, jobs: Iterator[Job], context: ExecutorContext) -> Iterator[JobEnded]:
        """Submit all jobs, or at most `jobs` at a time, and yield each result.

        Raises:
            RunError: no such cluster.
        """
        import ray

        self._connect()
        try:
            yield from self._run(jobs, context)
        finally:
            ray.shutdown()

    def _connect(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry over the network
        on_sigterm = signal.getsignal(signal.SIGTERM)
        import ray

        try:
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split()).split(". ")[0]
            raise RunError(
                f"executor: no Ray cluster at {self.address or os.environ.get('RAY_ADDRESS')} ({reason}); start one with "
                "`ray start --head`, or omit `address` to use this machine only"
            ) from error
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray installs a handler that exits

    def _run(self, jobs: Iterator[Job], context: ExecutorContext) -> Iterator[JobEnded]:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(Inbox)
        inbox = actor.options(num_cpus=0, scheduling_strategy=here).remote()
        run = ray.remote(task).options(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries)
        device = "cuda" if self.gpus else "cpu" if context.device == "auto" else context.device
        placement = JobPlacement(device, gpu_part=min(1.0, self.gpus or 1.0))
        running: dict[Any, Job] = {}
        began: set[str] = set()
        while True:
            stopping = context.stop_wanted()
            while not stopping and (self.jobs is None or len(running) < self.jobs):
                job = next(jobs, None)
                if job is None:
                    break
                document = {**job.document, "patience": _FOR_A_DEAD_NODE}
                running[run.remote(job.name, document, placement, inbox)] = job
            if not running:
                return
            wait(context)
            done, _ = ray.wait(list(running), timeout=_EVERY)
            by_name = {job.name: job for job in running.values()}
            for name, lines in ray.get(inbox.take.remote(stopping)):
                began.add(name)
                for line in lines if name in by_name else ():
                    context.tell(by_name[name], line)
            if stopping:
                for reference in [r for r, job in running.items() if job.name not in began]:
                    ray.cancel(reference, force=True)
                    del running[reference]
            for reference in (r for r in done if r in running):
                yield _ended(running.pop(reference), reference)


def _ended(job: Job, reference: Any) -> JobEnded:
    import ray

    try:
        code, output = ray.get(reference)
    except ray.exceptions.RayError as error:
        return JobEnded(job, None, message=f"Ray failed the task: {' '.join(str(error).split())[:300]}")
    return JobEnded(job, code, output)
