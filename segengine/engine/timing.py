"""How long passes of a network take: from images on the device to class indices there."""

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
    """How many passes are timed: at least `least`, at most `most`, and none is begun after `seconds`."""

    least: int
    most: int
    seconds: float = float("inf")


class NetworkClock:
    """Times passes of one predictor: forward and arg-max, on images that lie on the device already."""

    def __init__(
        self, predictor: Predictor, *, channels: int, size: tuple[int, int], clock: Callable[[], float] = time.perf_counter
    ) -> None:  # fmt: skip
        self.predictor, self.channels, self.size, self.clock = predictor, channels, size, clock

    def warm_up(self, batch: int, passes: int = 2) -> None:
        """Make passes whose time doesn't count: the first choose algorithms and take memory."""
        images = self._images(batch)
        for _ in range(passes):
            self.predictor.classes(images)
        synchronize(self.predictor.device)

    def seconds(self, batch: int, passes: Passes) -> list[float]:
        """Seconds of each pass of `batch` images, one after the other, each waited for."""
        images, device = self._images(batch), self.predictor.device
        return timed(
            partial(self.predictor.classes, images), passes, wait=partial(synchronize, device), clock=self.clock
        )

    def _images(self, batch: int) -> Tensor:
        """Noise uint8 [batch, C, H, W]; training's generators stay as they are."""
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (batch, self.channels, *self.size), dtype=torch.uint8, generator=generator)
        return images.to(self.predictor.device)


def timed(
    work: Callable[[], object], passes: Passes, *, wait: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:  # fmt: skip
    """Seconds that each call of `work` takes, `wait` for the device included."""
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
"""Rounds whose medians differ by more than this factor were measured on a busy machine."""
BUSY_SHARE = 0.25
"""So were passes while other processes used more than this share of the cores that the passes compute on."""
_SHORTEST = 0.2  # seconds: /proc/stat counts in hundredths


class OtherLoad:
    """Mean number of processor cores that other processes used while this context was entered, over all entries."""

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
        """None where the system doesn't say it (only Linux does), or too little time was observed."""
        return max(0.0, self._others / self._elapsed) if self._known and self._elapsed >= _SHORTEST else None

    def _now(self) -> tuple[float, float, float] | None:
        """Seconds of processor time of all processes and of this one, and of the clock."""
        try:
            fields = [int(field) for field in self._stat.read_text().split("\n", 1)[0].split()[1:9]]
            user, nice, system, _, _, interrupts, soft, stolen = fields
        except (OSError, ValueError):
            return None
        ticks = user + nice + system + interrupts + soft + stolen
        return ticks / os.sysconf("SC_CLK_TCK"), time.process_time(), time.perf_counter()


def spread_of(rounds: Sequence[Sequence[float]]) -> float:
    """The slowest round's median pass over the fastest round's; 1 of a single round."""
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
    """How many threads compute on a CPU; None elsewhere."""
    return torch.get_num_threads() if device.type == "cpu" else None


def machine_name(device: torch.device) -> str:
    """The GPU's name, or the processor's: what timings belong to."""
    if device.type != "cpu":
        return device_name(device)
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine() or "CPU"
