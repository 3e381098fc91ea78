"""How long passes of a network take: from images on the device to class indices there."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

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
