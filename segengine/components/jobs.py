"""What an executor gets and gives: the runs of a study as jobs, and how each ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

WORKER = ("-m", "segengine.study.worker")
"""Arguments of Python that do a job: its document is one line of JSON on standard input, and what it tells are lines of
JSON on standard output. It ends at once when its standard input is closed, and saves its run first on SIGTERM."""


@dataclass(frozen=True)
class Place:
    """Where a job is done: a torch device by name, and how many jobs share the machine's cores.

    `gpu_part` (0..1] of a GPU's memory belongs to the job.
    """

    device: str
    share: int = 1
    gpu_part: float = 1.0


Work = Callable[[Place, Callable[[str], None]], int]
"""Does a job in this process: tells lines of JSON, returns an exit code."""


@dataclass(frozen=True)
class Job:
    """One run of a study.

    `document` is plain data that says all about it to another process or machine with the same files; `prepare`
    reads the data here and gives what a process forked from this one can do without reading it again.
    """

    name: str
    document: Mapping[str, Any]
    prepare: Callable[[], Work]


@dataclass(frozen=True)
class JobEnded:
    """How a job's process ended: an exit code, minus the number of a signal, or None where a `message` says it all.

    `said` is the end of what it wrote to standard output and standard error.
    """

    job: Job
    exit_code: int | None
    said: str = ""
    message: str = ""


class Desk(Protocol):
    """The study, as an executor sees it."""

    device: str

    def tell(self, job: Job, line: str) -> None:
        """Pass on a line that the job told."""

    def stop_wanted(self) -> bool:
        """Whether running jobs are to save and end, and no other is to start."""

    def tick(self) -> None:
        """To be called several times a second, so that what is shown stays true."""


def wait(desk: Desk, seconds: float = 0.1) -> None:
    """Let a moment pass; a signal doesn't shorten it, but is seen after it."""
    desk.tick()
    time.sleep(seconds)


Execute = Callable[[Iterator[Job], Desk], Iterator[JobEnded]]
"""What `Executor.build` gives. A job is drawn from the iterator when there is room for it."""
