"""Timing of inference passes, from images on the device to class indices on the device."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from segengine.engine.distributed import device_name, synchronize
from segengine.engine.prediction import Predictor


@dataclass(frozen=True)
class Passes:
    """Number of timed passes: at least `least`, at most `most`, and none is started after `seconds`."""

    least: int
    most: int
    seconds: float = float("inf")


class NetworkClock:
    """Times passes of one predictor: forward and arg-max, on images already on the device."""

    def __init__(
        self, predictor: Predictor, *, channels: int, size: tuple[int, int], clock: Callable[[], float] = time.perf_counter
    ) -> None:  # fmt: skip
        self.predictor, self.channels, self.size, self.clock = predictor, channels, size, clock

    def warm_up(self, batch: int, passes: int = 2) -> None:
        """Run untimed passes: the first ones select algorithms and allocate memory."""
        images = self._images(batch)
        for _ in range(passes):
            self.predictor.classes(images)
        synchronize(self.predictor.device)

    def seconds(self, batch: int, passes: Passes) -> list[float]:
        """Seconds of each pass of `batch` images, with synchronisation after each pass."""
        images, device = self._images(batch), self.predictor.device
        return timed(
            partial(self.predictor.classes, images), passes, wait=partial(synchronize, device), clock=self.clock
        )

    def _images(self, batch: int) -> Tensor:
        """Noise uint8 [batch, C, H, W], from a separate generator."""
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (batch, self.channels, *self.size), dtype=torch.uint8, generator=generator)
        return images.to(self.predictor.device)


def timed(
    work: Callable[[], object], passes: Passes, *, wait: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:  # fmt: skip
    """Seconds of each call of `work`, including `wait` for the device."""
    wait()
    found: list[float] = []
    start = clock()
    while len(found) < passes.least or (len(found) < passes.most and clock() - start < passes.seconds):
        began = clock()
        work()
        wait()
        found.append(clock() - began)
    return found


BUSY_SPREAD = 1.5
"""The machine counts as busy if the medians of rounds differ by more than this factor."""
BUSY_SHARE = 0.25
"""The machine counts as busy if other processes use more than this fraction of the cores used by the passes."""
_SHORTEST = 0.2  # seconds: /proc/stat counts in hundredths


class OtherLoad:
    """Mean number of CPU cores used by other processes while this context was active, over all entries."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat, self._others, self._elapsed = stat, 0.0, 0.0
        self._known = True

    def __enter__(self) -> OtherLoad:
        self._start = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        start, end = self._start, self._now()
        if start is None or end is None:
            self._known = False
            return
        all_processes, own, elapsed = (b - a for a, b in zip(start, end, strict=True))
        self._others += all_processes - own
        self._elapsed += elapsed

    @property
    def cores(self) -> float | None:
        """None if the system doesn't report it (only Linux does), or if the observed time is too short."""
        return max(0.0, self._others / self._elapsed) if self._known and self._elapsed >= _SHORTEST else None

    def _now(self) -> tuple[float, float, float] | None:
        """CPU seconds of all processes and of this one, and wall-clock seconds."""
        try:
            fields = [int(field) for field in self._stat.read_text().split("\n", 1)[0].split()[1:9]]
            user, nice, system, _, _, interrupts, soft, stolen = fields
        except (OSError, ValueError):
            return None
        ticks = user + nice + system + interrupts + soft + stolen
        return ticks / os.sysconf("SC_CLK_TCK"), time.process_time(), time.perf_counter()


def spread_of(rounds: Sequence[Sequence[float]]) -> float:
    """Ratio of the slowest to the fastest round's median pass; 1 for a single round."""
    medians = [median(passes) for passes in rounds if passes]
    return max(medians) / min(medians) if medians and min(medians) > 0 else 1.0


def is_busy(spread: float, other_cores: float | None, threads: int | None, cores: int | None = None) -> bool:
    """Whether passes of `threads` threads (None: on a GPU) were slowed by other processes on `cores` cores."""
    own = threads or 1
    free = max((cores or usable_cores()) - own, 0)
    return spread > BUSY_SPREAD or (other_cores is not None and other_cores - free > BUSY_SHARE * own)


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(device: torch.device) -> int | None:
    """Number of torch threads on a CPU; None on other devices."""
    return torch.get_num_threads() if device.type == "cpu" else None


def machine_name(device: torch.device) -> str:
    """Name of the GPU or CPU, as recorded with timings."""
    if device.type != "cpu":
        return device_name(device)
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine() or "CPU"
