"""A job in its own process, forked or spawned. Its events and its output are written to temporary files."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import IO, Any

from segengine.components.jobs import WORKER, Job, JobEnded, JobPlacement, Work

TAIL = 16_000  # bytes: enough for the stack of a crash
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
CRASHED = 70
"""Exit code (EX_SOFTWARE of sysexits.h) of a job with an uncaught exception."""


class JobProcess:
    """A running job. Files, unlike pipes, never block the job and remain readable after it ended."""

    def __init__(self, job: Job, start: Callable[[IO[bytes], IO[bytes]], Callable[[bool], int | None]]) -> None:
        self.job = job
        self._events, self._output = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._position, self._rest = 0, b""
        self._poll = start(self._events, self._output)
        self.pid = int(getattr(self._poll, "pid", 0))

    def lines(self) -> list[str]:
        """Lines of events since the last call."""
        new = os.pread(self._events.fileno(), 1 << 24, self._position)
        self._position += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        return [line.decode() for line in whole]

    def poll(self, *, wait: bool = False) -> int | None:
        """The exit code or minus a signal; None while it runs."""
        return self._poll(wait)

    def send(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def ended(self, code: int) -> JobEnded:
        """The result with the end of the output; deletes the temporary files."""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - TAIL))
        output = self._output.read().decode(errors="replace")
        self._events.close()
        self._output.close()
        return JobEnded(self.job, code, output.strip())


class _Poll:
    """Polls a child process and keeps its exit code."""

    def __init__(self, pid: int, poll: Callable[[bool], int | None]) -> None:
        self.pid, self.poll = pid, poll
        self.code: int | None = None

    def __call__(self, wait: bool) -> int | None:
        if self.code is None:
            self.code = self.poll(wait)
        return self.code


def spawned(job: Job, placement: JobPlacement, environment: Mapping[str, str] | None = None) -> JobProcess:
    """Start the job in a new Python process, which exits when this process does."""

    def start(events: IO[bytes], output: IO[bytes]) -> _Poll:
        child = subprocess.Popen(
            [sys.executable, *WORKER], stdin=subprocess.PIPE, stdout=events, stderr=output, start_new_session=True,
            env=environment,
        )  # fmt: skip
        assert child.stdin is not None
        document: dict[str, Any] = {
            **job.document,
            "device": placement.device,
            "share": placement.concurrent_jobs,
            "gpu_part": placement.gpu_part,
        }
        child.stdin.write(json.dumps(document).encode() + b"\n")
        child.stdin.flush()
        stdin = child.stdin

        def poll(wait: bool) -> int | None:
            code = child.wait() if wait else child.poll()
            if code is not None:
                stdin.close()
            return code

        return _Poll(child.pid, poll)

    return JobProcess(job, start)


def forked(job: Job, work: Work, placement: JobPlacement, line: tuple[int, int], gpu: str | None = None) -> JobProcess:
    """Start the job in a fork of this process, which must have no threads and no CUDA context; `line` is a pipe without writes."""

    def start(events: IO[bytes], output: IO[bytes]) -> _Poll:
        def child() -> int:
            os.dup2(line[0], 0)
            os.close(line[1])
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            if gpu is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            end_with_stdin()
            return work(placement, line_writer(events.fileno()))

        return _Poll(*in_fork(child))

    return JobProcess(job, start)


def line_writer(handle: int) -> Callable[[str], None]:
    """A function that writes a line to an open file, unbuffered."""

    def write(line: str) -> None:
        os.write(handle, line.encode() + b"\n")

    return write


def in_fork(child: Callable[[], int]) -> tuple[int, Callable[[bool], int | None]]:
    """Call a function in a fork of this process; returns the pid and a function that returns the exit code once available."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # the child must not run this process's handlers
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the child uses none of the threads
            pid = os.fork()
        if not pid:
            _in_child(child)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def poll(wait: bool) -> int | None:
        found, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if found else None

    return pid, poll


def _in_child(child: Callable[[], int]) -> None:
    """Run `child` and exit; never returns, and runs no exit handlers of the parent."""
    code = CRASHED
    try:
        os.setsid()  # the parent forwards Ctrl-C
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        sys.stdout = sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        code = child()
    except BaseException:
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(code)


def end_with_stdin() -> None:
    """Exit immediately when standard input is closed, which happens when the parent process exits."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    faulthandler.enable(file=2)
    threading.Thread(target=watch, name="end with the parent", daemon=True).start()
