"""The most memory that a piece of work takes: CUDA's allocations on a GPU, the process's resident memory on a CPU."""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Kind = Literal["cuda", "resident"]
_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Peak:
    """Bytes at the highest: `cuda` allocations or `resident` memory of this process."""

    kind: Kind
    peak_bytes: int


class PeakMemory:
    """Measures from its making on, beyond what is taken then; `held` bytes of that count nevertheless: the weights.

    Where the system doesn't tell (no Linux, or Apple's GPU), nothing is said. What earlier work freed is given back to the
    system first, so that several runs in one process don't share it. Memory of worker processes isn't in it. A second one
    on the same device takes the place of the first.
    """

    def __init__(self, device: torch.device, *, held: int = 0) -> None:
        self.device, self.held = device, held
        self.before: int | None = None
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            self.before = torch.cuda.memory_allocated(device)
        elif device.type == "cpu":
            _touch_libraries()
            if _forget_highest():
                self.before = _status("VmRSS")

    def peak(self) -> Peak | None:
        """The highest since the start, or None where it isn't known."""
        if self.before is None:
            return None
        if self.device.type == "cuda":
            highest: int | None = torch.cuda.max_memory_allocated(self.device)
        else:
            highest = _status("VmHWM")
        if highest is None:
            return None
        kind: Kind = "cuda" if self.device.type == "cuda" else "resident"
        return Peak(kind, max(0, highest - self.before) + self.held)


def tensor_bytes(tree: object) -> int:
    """What all tensors in nested mappings, such as state dicts, take."""
    if isinstance(tree, Tensor):
        return tree.numel() * tree.element_size()
    return sum(map(tensor_bytes, tree.values())) if isinstance(tree, Mapping) else 0


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
