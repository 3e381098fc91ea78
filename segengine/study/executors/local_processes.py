"""Jobs in local processes, one concurrent job per GPU."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Literal

from segengine.components.jobs import ExecutorContext, Job, JobEnded, JobPlacement, wait
from segengine.errors import RunError
from segengine.study.executors.job_process import CRASHED, JobProcess, forked, in_fork, spawned

_PATIENCE = 60
"""Seconds for a process to save a checkpoint before it is killed."""


class LocalProcesses:
    """Runs jobs in local processes; all processes are ended on exit, also after an exception."""

    def __init__(self, jobs: int | None, start: Literal["auto", "fork", "spawn"]) -> None:
        self.jobs, self.start = jobs, start

    def __call__(self, jobs: Iterator[Job], context: ExecutorContext) -> Iterator[JobEnded]:
        """Start jobs in free slots, forward their events, and yield each result."""
        gpus = visible_gpus(context.device)
        slots = self.jobs or max(1, len(gpus))
        starter = _Starter(self.start == "fork" or (self.start == "auto" and can_fork()), gpus, slots, context.device)
        running: dict[int, JobProcess] = {}
        stopping = False
        try:
            while True:
                stopping = _stop_if_wanted(running, context, stopping)
                free = [slot for slot in range(slots) if slot not in running]
                while free and not stopping and (job := next(jobs, None)) is not None:
                    slot = free.pop(0)
                    running[slot] = starter(job, slot)
                if not running:
                    return
                wait(context)
                for slot, process in list(running.items()):
                    code = process.poll()
                    for line in process.lines():
                        context.tell(process.job, line)
                    if code is not None:
                        yield running.pop(slot).ended(code)
        finally:
            _end(list(running.values()), at_once=stopping)
            starter.close()


def _stop_if_wanted(running: dict[int, JobProcess], context: ExecutorContext, already: bool) -> bool:
    wanted = context.stop_wanted()
    if wanted and not already:
        for process in running.values():
            process.send(signal.SIGTERM)
    return wanted


def _end(processes: list[JobProcess], *, at_once: bool) -> None:
    """Terminate the remaining processes (SIGTERM saves a checkpoint), and kill them after `_PATIENCE`."""
    for process in processes:
        process.send(signal.SIGINT if at_once else signal.SIGTERM)
    until = time.monotonic() + _PATIENCE
    while any(process.poll() is None for process in processes) and time.monotonic() < until:
        time.sleep(0.05)
    for process in processes:
        process.send(signal.SIGKILL)
        process.ended(process.poll(wait=True) or 0)


class _Starter:
    """Starts a job in a slot; slots share the GPUs evenly."""

    def __init__(self, fork: bool, gpus: list[str], slots: int, device: str) -> None:
        self.gpus, self.fork = gpus, fork
        part = 1 / -(-slots // len(gpus)) if gpus else 1.0
        self.placement = JobPlacement("cuda" if gpus else device, slots, part)
        self.line = os.pipe()

    def __call__(self, job: Job, slot: int) -> JobProcess:
        gpu = self.gpus[slot % len(self.gpus)] if self.gpus else None
        if self.fork:
            return forked(job, job.prepare(), self.placement, self.line, gpu)
        environment = None if gpu is None else os.environ | {"CUDA_VISIBLE_DEVICES": gpu}
        return spawned(job, self.placement, environment)

    def close(self) -> None:
        for end in self.line:
            os.close(end)


def can_fork() -> bool:
    """Whether forking is safe: on Linux, before CUDA is initialised and before autograd has started threads."""
    if sys.platform != "linux":
        return False
    if "torch" not in sys.modules:
        return True
    return not sys.modules["torch"].cuda.is_initialized() and in_fork(_backward)[1](True) == 0


def _backward() -> int:
    """A backward pass; torch raises RuntimeError in a fork of a process whose autograd has threads. 0 if it succeeds."""
    import torch

    try:
        torch.ones(1, requires_grad=True).sum().backward()  # type: ignore[no-untyped-call]
    except RuntimeError:
        return 1
    return 0


def visible_gpus(device: str) -> list[str]:
    """The CUDA_VISIBLE_DEVICES names of the GPUs of `device`; counted in a fork, so that CUDA isn't initialised here.

    Raises:
        RunError: the requested GPU doesn't exist.
    """
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cuda", "gpu"):
        return []
    _, poll = in_fork(_count_gpus)
    count = poll(True)
    count = count if count is not None and 0 <= count < CRASHED else 0
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = given.split(",")[:count] if given else [str(number) for number in range(count)]
    chosen = names[int(index) : int(index) + 1] if index.isdigit() else names
    if not chosen and kind != "auto":
        raise RunError(f"--device {device}: no such GPU; `segengine doctor` lists what torch detects")
    return chosen


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count()
