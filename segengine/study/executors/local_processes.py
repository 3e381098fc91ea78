"""Jobs in processes of this machine, as many at a time as there are GPUs, each with a GPU of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Literal

from segengine.components.jobs import Desk, Job, JobEnded, Place, wait
from segengine.errors import RunError
from segengine.study.executors.job_process import CRASHED, JobProcess, forked, in_fork, spawned

_PATIENCE = 60
"""Seconds that a process which is no longer wanted has for saving."""


class LocalProcesses:
    """Runs jobs; nothing is left running when it ends, however it ends."""

    def __init__(self, jobs: int | None, start: Literal["auto", "fork", "spawn"]) -> None:
        self.jobs, self.start = jobs, start

    def __call__(self, jobs: Iterator[Job], desk: Desk) -> Iterator[JobEnded]:
        """Start a job whenever there is room, tell what they tell, give each as it ends."""
        gpus = visible_gpus(desk.device)
        slots = self.jobs or max(1, len(gpus))
        starter = _Starter(self.start == "fork" or (self.start == "auto" and can_fork()), gpus, slots, desk.device)
        running: dict[int, JobProcess] = {}
        stopping = False
        try:
            while True:
                stopping = _ask_to_stop(running, desk, stopping)
                free = [slot for slot in range(slots) if slot not in running]
                while free and not stopping and (job := next(jobs, None)) is not None:
                    slot = free.pop(0)
                    running[slot] = starter(job, slot)
                if not running:
                    return
                wait(desk)
                for slot, process in list(running.items()):
                    code = process.poll()
                    for line in process.lines():
                        desk.tell(process.job, line)
                    if code is not None:
                        yield running.pop(slot).ended(code)
        finally:
            _end(list(running.values()), at_once=stopping)
            starter.close()


def _ask_to_stop(running: dict[int, JobProcess], desk: Desk, already: bool) -> bool:
    wanted = desk.stop_wanted()
    if wanted and not already:
        for process in running.values():
            process.send(signal.SIGTERM)
    return wanted


def _end(processes: list[JobProcess], *, at_once: bool) -> None:
    """Whoever is left saves and ends, or just ends; who doesn't in time is killed."""
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
        self.place = Place("cuda" if gpus else device, slots, part)
        self.line = os.pipe()

    def __call__(self, job: Job, slot: int) -> JobProcess:
        gpu = self.gpus[slot % len(self.gpus)] if self.gpus else None
        if self.fork:
            return forked(job, job.prepare(), self.place, self.line, gpu)
        environment = None if gpu is None else os.environ | {"CUDA_VISIBLE_DEVICES": gpu}
        return spawned(job, self.place, environment)

    def close(self) -> None:
        for end in self.line:
            os.close(end)


def can_fork() -> bool:
    """Whether a fork of this process can do all that a new one can: on Linux, as long as it has not opened CUDA."""
    opened = "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized()
    return sys.platform == "linux" and not opened


def visible_gpus(device: str) -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls each GPU that `device` allows; asked elsewhere, so that CUDA stays closed here.

    Raises:
        RunError: a GPU was asked for that isn't there.
    """
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cuda", "gpu"):
        return []
    _, ask = in_fork(_count_gpus)
    count = ask(True)
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
