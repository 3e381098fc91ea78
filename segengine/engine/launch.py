"""Several processes of this machine that train one model together: started, signalled and ended together.

What torchrun does on one machine, with two differences: a wish to stop is passed on so that a checkpoint is saved
before the end, and the exit code of the processes is that of the command.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import IO

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from segengine.engine.machine_errors import AGAIN
from segengine.errors import RunError

PATIENCE = 5.0
"""Seconds that the others have for ending by themselves once a process has failed; then they are asked to."""
GRACE = 30.0
"""Seconds after which those that still don't end are killed."""
LAUNCHED = "SEGENGINE_LAUNCHED"
"""Set in the environment of a process that `launch` started."""
_TAIL = 4000  # bytes


@dataclass(frozen=True)
class _Child:
    rank: int
    process: subprocess.Popen[bytes]
    said: IO[bytes] | None  # what a process other than the main one wrote to standard error


def check_devices(processes: int, device: str) -> None:
    """Refuse more processes than there are GPUs, before any is started.

    Raises:
        RunError: with the number of GPUs and what to write instead.
    """
    if device not in ("auto", "cuda", "gpu"):
        return
    there = torch.cuda.device_count()
    if there < processes:
        gpus = "1 GPU" if there == 1 else f"{there or 'no'} GPUs"
        raise RunError(
            f"--gpus {processes}: torch detects {gpus}; give --gpus at most that many, or --device cpu to train in "
            f"{processes} processes on the CPU (see `segengine doctor`)"
        )


def launch(arguments: Sequence[str], processes: int, say: Callable[[str], None]) -> int:
    """Run `python -m segengine` with `arguments` in `processes` processes; returns the exit code that all of them mean.

    The main process (rank 0) speaks; another one's errors are passed on if it failed alone. When a process fails or is
    killed, the others have `GRACE` seconds for ending. SIGINT and SIGTERM are passed on.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    children = [_start(arguments, rank, processes, store.port) for rank in range(processes)]
    try:
        with _passing_on(children):
            first, killed = _watch(children)
    finally:
        for child in children:
            child.process.kill()  # nobody is left behind, whatever happened here
            child.process.wait()
    codes = {child.rank: child.process.returncode for child in children}
    if first is not None:
        _explain(first, processes, killed, say)
    for child in children:
        for file in (child.process.stdin, child.said):
            if file is not None:
                file.close()
    return _meaning(codes, killed)


def end_with_launcher() -> None:
    """In a process that `launch` started: end at once when the launcher is gone, as its pipe then is."""
    if os.environ.get(LAUNCHED) != "1":
        return

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="end with the launcher", daemon=True).start()


def _start(arguments: Sequence[str], rank: int, processes: int, port: int) -> _Child:
    said = tempfile.TemporaryFile() if rank else None  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, "-m", "segengine", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL if rank else None,
        stderr=said,
        env=_environment(rank, processes, port),
        start_new_session=True,  # Ctrl-C comes through the launcher, once
    )
    return _Child(rank, process, said)


def _environment(rank: int, processes: int, port: int) -> Mapping[str, str]:
    """What torchrun would set."""
    cores = os.cpu_count() or 1
    return {
        "OMP_NUM_THREADS": str(max(1, cores // processes)),
        **os.environ,
        LAUNCHED: "1",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store is here, not in rank 0
        "TORCHELASTIC_RESTART_COUNT": "0",
    }


@contextmanager
def _passing_on(children: Sequence[_Child]) -> Iterator[None]:
    def pass_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for child in children:
            if child.process.poll() is None:
                child.process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(children: Sequence[_Child]) -> tuple[_Child | None, frozenset[int]]:
    """Wait for all; the process that failed first, and the ranks that had to be killed here."""
    first: _Child | None = None
    since, asked, killed = 0.0, False, set[int]()
    while running := [child for child in children if child.process.poll() is None]:
        if first is None:
            first = next((child for child in children if _failed(child)), None)
            since = time.monotonic()
        elif not asked and time.monotonic() - since > PATIENCE:
            asked = True
            for child in running:
                child.process.terminate()
        elif time.monotonic() - since > GRACE:
            for child in running:
                killed.add(child.rank)
                child.process.kill()
        time.sleep(0.05)
    return first or next((child for child in children if _failed(child)), None), frozenset(killed)


def _failed(child: _Child) -> bool:
    """Whether it ended as no other does on purpose: not done, and not stopped by a signal that all of them got."""
    return child.process.poll() not in (None, 0, 128 + signal.SIGINT, 128 + signal.SIGTERM)


def _explain(first: _Child, processes: int, killed: frozenset[int], say: Callable[[str], None]) -> None:
    """Why they ended, unless the main process has said it."""
    code = first.process.returncode
    if code < 0:
        reason = signal.Signals(-code).name + (", usually out of memory" if -code == signal.SIGKILL else "")
        say(f"error: process {first.rank} of 0 to {processes - 1} was killed ({reason}); the others ended; {AGAIN}")
    elif first.said is not None:
        first.said.seek(max(0, first.said.seek(0, os.SEEK_END) - _TAIL))
        say(f"process {first.rank}: {first.said.read().decode(errors='replace').strip()}")
    if killed:
        names = ", ".join(str(rank) for rank in sorted(killed))
        say(f"process {names} did not end within {GRACE:.0f} seconds and was killed")


def _meaning(codes: Mapping[int, int], killed: frozenset[int]) -> int:
    """One exit code for all: a wrong request (2) before a failure (1) before a stop (143, 130) before 0."""
    own = {code for rank, code in codes.items() if rank not in killed}
    if any(code < 0 for code in own):
        return 1
    return next(
        (code for code in (2, 1, 128 + signal.SIGTERM, 128 + signal.SIGINT) if code in own), max(own, default=1)
    )
