"""Launcher of several processes on this machine that train one model (as torchrun does).

Differences to torchrun: SIGINT and SIGTERM are forwarded, so that a checkpoint is saved before the exit, and the exit
code is that of the command.
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
from segengine.errors import RunError, counted

PATIENCE = 5.0
"""Seconds after the failure of one process until SIGTERM is sent to the others."""
GRACE = 30.0
"""Seconds after the failure until remaining processes are killed."""
LAUNCHED = "SEGENGINE_LAUNCHED"
"""Set in the environment of a process that `launch` started."""
_TAIL = 4000  # bytes


@dataclass(frozen=True)
class _Child:
    rank: int
    process: subprocess.Popen[bytes]
    stderr: IO[bytes] | None  # standard error of a process other than rank 0


def check_devices(processes: int, device: str) -> None:
    """Check that there are at least `processes` GPUs, before any process is started.

    Raises:
        RunError: too few GPUs.
    """
    if device not in ("auto", "cuda", "gpu"):
        return
    there = torch.cuda.device_count()
    if there < processes:
        gpus = counted(there, "GPU") if there else "no GPUs"
        raise RunError(
            f"--gpus {processes}: torch detects {gpus}; give --gpus at most that many, or --device cpu to train in "
            f"{counted(processes, 'process', 'processes')} on the CPU (see `segengine doctor`)"
        )


def launch(arguments: Sequence[str], processes: int, say: Callable[[str], None]) -> int:
    """Run `python -m segengine` with `arguments` in `processes` processes; returns the combined exit code.

    Rank 0 prints; the standard error of another rank is printed if that rank failed first. After a process fails or is
    killed, the others are terminated within `GRACE` seconds. SIGINT and SIGTERM are forwarded.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    children = [_start(arguments, rank, processes, store.port) for rank in range(processes)]
    try:
        with _forwarded_signals(children):
            first, killed = _watch(children)
    finally:
        for child in children:
            child.process.kill()  # no process is left running, also on an exception
            child.process.wait()
    codes = {child.rank: child.process.returncode for child in children}
    if first is not None:
        _explain(first, processes, killed, say)
    for child in children:
        for file in (child.process.stdin, child.stderr):
            if file is not None:
                file.close()
    return _combined_exit_code(codes, killed)


def end_with_launcher() -> None:
    """In a process started by `launch`: exit immediately when the launcher's pipe is closed."""
    if os.environ.get(LAUNCHED) != "1":
        return

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="end with the launcher", daemon=True).start()


def _start(arguments: Sequence[str], rank: int, processes: int, port: int) -> _Child:
    stderr = tempfile.TemporaryFile() if rank else None  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, "-m", "segengine", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL if rank else None,
        stderr=stderr,
        env=_environment(rank, processes, port),
        start_new_session=True,  # the launcher forwards Ctrl-C once
    )
    return _Child(rank, process, stderr)


def _environment(rank: int, processes: int, port: int) -> Mapping[str, str]:
    """Environment variables as torchrun sets them."""
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
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the launcher hosts the store, not rank 0
        "TORCHELASTIC_RESTART_COUNT": "0",
    }


@contextmanager
def _forwarded_signals(children: Sequence[_Child]) -> Iterator[None]:
    def forward(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for child in children:
            if child.process.poll() is None:
                child.process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(children: Sequence[_Child]) -> tuple[_Child | None, frozenset[int]]:
    """Wait for all processes; returns the one that failed first, and the ranks that were killed."""
    first: _Child | None = None
    since, terminated, killed = 0.0, False, set[int]()
    while running := [child for child in children if child.process.poll() is None]:
        if first is None:
            first = next((child for child in children if _failed(child)), None)
            since = time.monotonic()
        elif not terminated and time.monotonic() - since > PATIENCE:
            terminated = True
            for child in running:
                child.process.terminate()
        elif time.monotonic() - since > GRACE:
            for child in running:
                killed.add(child.rank)
                child.process.kill()
        time.sleep(0.05)
    return first or next((child for child in children if _failed(child)), None), frozenset(killed)


def _failed(child: _Child) -> bool:
    """Whether it failed: neither finished nor stopped by a forwarded signal."""
    return child.process.poll() not in (None, 0, 128 + signal.SIGINT, 128 + signal.SIGTERM)


def _explain(first: _Child, processes: int, killed: frozenset[int], say: Callable[[str], None]) -> None:
    """Print the reason of the failure, unless rank 0 has printed it."""
    code = first.process.returncode
    if code < 0:
        reason = signal.Signals(-code).name + (", usually out of memory" if -code == signal.SIGKILL else "")
        say(f"error: process {first.rank} of 0 to {processes - 1} was killed ({reason}); the others ended; {AGAIN}")
    elif first.stderr is not None:
        first.stderr.seek(max(0, first.stderr.seek(0, os.SEEK_END) - _TAIL))
        say(f"process {first.rank}: {first.stderr.read().decode(errors='replace').strip()}")
    if killed:
        names = ", ".join(str(rank) for rank in sorted(killed))
        say(f"process {names} did not end within {GRACE:.0f} seconds and was killed")


def _combined_exit_code(codes: Mapping[int, int], killed: frozenset[int]) -> int:
    """Combined exit code, by precedence: invalid request (2), failure (1), interruption (143, 130), 0."""
    own = {code for rank, code in codes.items() if rank not in killed}
    if any(code < 0 for code in own):
        return 1
    return next(
        (code for code in (2, 1, 128 + signal.SIGTERM, 128 + signal.SIGINT) if code in own), max(own, default=1)
    )
