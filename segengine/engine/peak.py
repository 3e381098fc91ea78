"""The most memory that a piece of work takes: CUDA's allocations on a GPU, the process's resident memory on a CPU."""

from __future__ import annotations

import ctypes
import gc
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch.nn import functional as F

_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Peak:
    """Bytes at the highest, beyond what was taken before; `cuda` allocations or `resident` memory of this process."""

    kind: Literal["cuda", "resident"]
    peak_bytes: int


class PeakMemory:
    """Measures from its making on. Where the system doesn't tell (no Linux, or Apple's GPU), nothing is said.

    What earlier work freed is given back to the system first, so that several runs in one process don't share it. Memory
    of worker processes isn't in it. A second one on the same device takes the place of the first.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.before: int | None = None
        if device.type == "cpu":
            _touch_libraries()
        if self.forget():
            self.before = torch.cuda.memory_allocated(device) if device.type == "cuda" else _status("VmRSS")

    def forget(self) -> bool:
        """Measure the highest from now on, still beyond what was taken at the start; False where nothing is known."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
            return True
        return self.device.type == "cpu" and _forget_highest()

    def peak(self) -> Peak | None:
        """The highest since the start, or None where it isn't known."""
        if self.before is None:
            return None
        if self.device.type == "cuda":
            return Peak("cuda", max(0, torch.cuda.max_memory_allocated(self.device) - self.before))
        highest = _status("VmHWM")
        return Peak("resident", max(0, highest - self.before)) if highest is not None else None


def _touch_libraries() -> None:
    """A convolution there and back, so that the code of the libraries, loaded when first used, counts as taken before."""
    image, weight = (torch.zeros(size, requires_grad=True) for size in ((2, 8, 16, 16), (8, 8, 3, 3)))
    with torch.enable_grad():
        result = F.conv2d(image, weight)
        F.batch_norm(result, None, None, training=True).relu().sum().backward()  # type: ignore[no-untyped-call]


def _forget_highest() -> bool:
    """Give free memory back and let the kernel count its peak (VmHWM, see proc(5)) anew; False where it can't."""
    with suppress(OSError, AttributeError, TypeError):  # another C library: what it keeps counts as taken before
        ctypes.CDLL(None).malloc_trim(0)
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(name: str) -> int | None:
    """A number of bytes from /proc/self/status."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", (_PROCESS / "status").read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else None
