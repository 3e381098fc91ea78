"""Interface of executors: the runs of a study as jobs, and their outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

WORKER = ("-m", "segengine.study.worker")
"""Arguments of the Python process that executes a job: reads the job's document as one line of JSON from standard input and
writes events as lines of JSON to standard output. It exits when its standard input is closed, and saves its run on SIGTERM."""


@dataclass(frozen=True)
class Place:
    """Resources of a job: a torch device by name, and the number of jobs that share the machine's cores (`share`).

    `gpu_part`: fraction (0..1] of a GPU's memory reserved for the job.
    """

    device: str
    share: int = 1
    gpu_part: float = 1.0


Work = Callable[[Place, Callable[[str], None]], int]
"""Executes a job in this process: writes events as lines of JSON to the callback, returns an exit code."""


@dataclass(frozen=True)
class Job:
    """One run of a study.

    `document` is plain data, sufficient to execute the job in another process or on a machine with the same files.
    `prepare` reads the data in this process and returns the work for a forked process, which need not read it again.
    """

    name: str
    document: Mapping[str, Any]
    prepare: Callable[[], Work]


@dataclass(frozen=True)
class JobEnded:
    """Outcome of a job: an exit code, a negated signal number, or None with a `message`.

    `said` is the tail of its standard output and standard error.
    """

    job: Job
    exit_code: int | None
    said: str = ""
    message: str = ""


class Desk(Protocol):
    """Callbacks from an executor to the study."""

    device: str

    def tell(self, job: Job, line: str) -> None:
        """Forward a line of JSON written by the job."""

    def stop_wanted(self) -> bool:
        """Whether to stop: running jobs should save and exit, and no further job should start."""

    def tick(self) -> None:
        """Refresh the display; call this several times per second."""


def wait(desk: Desk, seconds: float = 0.1) -> None:
    """Refresh the display and sleep; signals are handled afterwards."""
    desk.tick()
    time.sleep(seconds)


Execute = Callable[[Iterator[Job], Desk], Iterator[JobEnded]]
"""Return type of `Executor.build`. Jobs are taken from the iterator when resources are free."""
