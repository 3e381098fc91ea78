"""Interface between a study and its executor: jobs, their placement and their results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

WORKER = ("-m", "segengine.study.worker")
"""Python arguments of a worker process. It reads its document as one line of JSON from standard input and writes events as
lines of JSON to standard output. It exits immediately when standard input is closed; on SIGTERM it saves a checkpoint first."""


@dataclass(frozen=True, init=False)
class JobPlacement:
    """Resources of a job: torch device, number of jobs that run at once on the machine's cores, part of the GPU's memory (0..1]."""

    device: str
    concurrent_jobs: int = 1
    gpu_part: float = 1.0

    def __init__(
        self, device: str, concurrent_jobs: int = 1, gpu_part: float = 1.0, *, share: int | None = None
    ) -> None:
        """`share` is the former name of `concurrent_jobs`."""
        object.__setattr__(self, "device", device)
        object.__setattr__(self, "concurrent_jobs", concurrent_jobs if share is None else share)
        object.__setattr__(self, "gpu_part", gpu_part)

    @property
    def share(self) -> int:
        """Former name of `concurrent_jobs`."""
        return self.concurrent_jobs


Work = Callable[[JobPlacement, Callable[[str], None]], int]
"""Runs a job in this process: writes events as lines of JSON with the given function, returns an exit code."""


@dataclass(frozen=True)
class Job:
    """One run of a study.

    `document` is plain data that describes the run for another process or machine with the same files; `prepare` reads the
    data in this process and returns the work for a process forked from it.
    """

    name: str
    document: Mapping[str, Any]
    prepare: Callable[[], Work]


@dataclass(frozen=True, init=False)
class JobEnded:
    """Result of a job's process: exit code, negative signal number, or None with the reason in `message`.

    `output` is the end of its standard output and standard error.
    """

    job: Job
    exit_code: int | None
    output: str = ""
    message: str = ""

    def __init__(
        self, job: Job, exit_code: int | None, output: str = "", message: str = "", *, said: str | None = None
    ) -> None:
        """`said` is the former name of `output`."""
        object.__setattr__(self, "job", job)
        object.__setattr__(self, "exit_code", exit_code)
        object.__setattr__(self, "output", output if said is None else said)
        object.__setattr__(self, "message", message)

    @property
    def said(self) -> str:
        """Former name of `output`."""
        return self.output


class ExecutorContext(Protocol):
    """Callbacks from an executor to the study, and the requested device."""

    device: str

    def tell(self, job: Job, line: str) -> None:
        """Forward a line of JSON from the job's standard output."""

    def stop_wanted(self) -> bool:
        """Whether to stop: running jobs save and exit, and no further job starts."""

    def tick(self) -> None:
        """Update the progress display; to be called several times per second."""


Desk, Place = ExecutorContext, JobPlacement
"""Former names, kept for plugins."""


def wait(context: ExecutorContext, seconds: float = 0.1) -> None:
    """Update the progress display and sleep."""
    context.tick()
    time.sleep(seconds)


Execute = Callable[[Iterator[Job], ExecutorContext], Iterator[JobEnded]]
"""Result of `Executor.build`. A job is drawn from the iterator when there is a free slot."""
