"""A job in a process of its own: forked from this one, or a new Python. What it tells and says is kept in files."""

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

from segengine.components.jobs import WORKER, Job, JobEnded, Place, Work

TAIL = 16_000  # bytes: the stack of a crash is long
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
CRASHED = 70
"""Exit code (EX_SOFTWARE of sysexits.h) of a job that let an error through."""


class JobProcess:
    """A running job. A file, unlike a pipe, never makes it wait for a reader, and survives it."""

    def __init__(self, job: Job, start: Callable[[IO[bytes], IO[bytes]], Callable[[bool], int | None]]) -> None:
        self.job = job
        self._told, self._said = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._place, self._rest = 0, b""
        self._poll = start(self._told, self._said)
        self.pid = int(getattr(self._poll, "pid", 0))

    def lines(self) -> list[str]:
        """What the job told since the last call."""
        new = os.pread(self._told.fileno(), 1 << 24, self._place)
        self._place += len(new)
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
        """How it ended, with the last of what it said; its files are gone then."""
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - TAIL))
        said = self._said.read().decode(errors="replace")
        self._told.close()
        self._said.close()
        return JobEnded(self.job, code, said.strip())


class _Poll:
    """Asks after a child once; the code is kept."""

    def __init__(self, pid: int, ask: Callable[[bool], int | None]) -> None:
        self.pid, self.ask = pid, ask
        self.code: int | None = None

    def __call__(self, wait: bool) -> int | None:
        if self.code is None:
            self.code = self.ask(wait)
        return self.code


def spawned(job: Job, place: Place, environment: Mapping[str, str] | None = None) -> JobProcess:
    """The job in a new Python; it ends at once when this process does."""

    def start(told: IO[bytes], said: IO[bytes]) -> _Poll:
        child = subprocess.Popen(
            [sys.executable, *WORKER], stdin=subprocess.PIPE, stdout=told, stderr=said, start_new_session=True,
            env=environment,
        )  # fmt: skip
        assert child.stdin is not None
        document: dict[str, Any] = {
            **job.document,
            "device": place.device,
            "share": place.share,
            "gpu_part": place.gpu_part,
        }
        child.stdin.write(json.dumps(document).encode() + b"\n")
        child.stdin.flush()
        stdin = child.stdin

        def ask(wait: bool) -> int | None:
            code = child.wait() if wait else child.poll()
            if code is not None:
                stdin.close()
            return code

        return _Poll(child.pid, ask)

    return JobProcess(job, start)


def forked(job: Job, work: Work, place: Place, line: tuple[int, int], gpu: str | None = None) -> JobProcess:
    """The job in a fork of this process, which has neither threads nor CUDA; `line` is a pipe that nobody writes to."""

    def start(told: IO[bytes], said: IO[bytes]) -> _Poll:
        def child() -> int:
            os.dup2(line[0], 0)
            os.close(line[1])
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            if gpu is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            end_with_stdin()
            return work(place, line_writer(told.fileno()))

        return _Poll(*in_fork(child))

    return JobProcess(job, start)


def line_writer(handle: int) -> Callable[[str], None]:
    """What writes a line to an open file at once."""

    def write(line: str) -> None:
        os.write(handle, line.encode() + b"\n")

    return write


def in_fork(child: Callable[[], int]) -> tuple[int, Callable[[bool], int | None]]:
    """Call a function in a fork of this process: its number, and what gives its exit code once it has ended."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # none may meet the handlers of this process in the other
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads that the child has nothing to do with
            pid = os.fork()
        if not pid:
            _in_child(child)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def ask(wait: bool) -> int | None:
        found, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if found else None

    return pid, ask


def _in_child(child: Callable[[], int]) -> None:
    """Never returns, and runs no code of the parent's that waits for the end of the process."""
    code = CRASHED
    try:
        os.setsid()  # Ctrl-C is for the parent, which passes it on
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
    """Let this process end at once when its standard input is closed, as it is when whoever started it is gone."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    faulthandler.enable(file=2)
    threading.Thread(target=watch, name="end with the parent", daemon=True).start()
