"""Free memory and peak memory: CUDA allocations on a GPU, resident memory on a CPU."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from segengine.data.batches.available import available_bytes

Kind = Literal["cuda", "resident"]
_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Peak:
    """Peak bytes: `cuda` allocations, or `resident` memory of this process."""

    kind: Kind
    peak_bytes: int


class PeakMemory:
    """Peak memory since construction, relative to the memory in use at that moment plus `held` bytes (the weights).

    `peak` returns None where the system doesn't report memory (no Linux, or Apple's GPU). Memory that earlier work freed is
    returned to the system first, so that several runs in one process don't share it. Worker processes aren't included. A
    second instance on the same device replaces the first.
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
        """The peak since construction; None if it is unknown."""
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
    """Bytes of all tensors in nested mappings, such as state dicts."""
    if isinstance(tree, Tensor):
        return tree.numel() * tree.element_size()
    return sum(map(tensor_bytes, tree.values())) if isinstance(tree, Mapping) else 0


def _touch_libraries() -> None:
    """One convolution forward and backward, so that libraries that load on first use count as memory in use before."""
    image, weight = (torch.zeros(size, requires_grad=True) for size in ((2, 8, 16, 16), (8, 8, 3, 3)))
    with torch.enable_grad():
        result = F.conv2d(image, weight)
        F.batch_norm(result, None, None, training=True).relu().sum().backward()  # type: ignore[no-untyped-call]


def _forget_highest() -> bool:
    """Return free memory and reset the kernel's peak (VmHWM, see proc(5)); False if that isn't possible."""
    with suppress(OSError, AttributeError, TypeError):  # another C library: memory it keeps counts as in use before
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


def free_bytes(device: torch.device) -> int:
    """Bytes that this process can still allocate: on the host, or within its part of the GPU."""
    if device.type != "cuda":
        return available_bytes()
    free, total = torch.cuda.mem_get_info(device)
    part = torch.cuda.get_per_process_memory_fraction(device)
    return max(0, min(int(free), int(part * total) - torch.cuda.memory_reserved(device)))


def limit_gpu_part(device: torch.device, part: float) -> None:
    """Limit this process to `part` (0..1) of the GPU's memory, so that runs sharing a GPU don't exceed their parts."""
    if device.type == "cuda" and part < 1:
        torch.cuda.set_per_process_memory_fraction(part, device)


def release_memory(device: torch.device) -> None:
    """Return unreferenced memory to the system."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def keep_freed_memory(device: torch.device) -> None:
    """Keep freed memory mapped to avoid page faults, about 12 % of a CPU training step with glibc. Results are unchanged.

    Memory of freed tensors of up to 32 MB is kept for reuse; larger tensors are mapped and unmapped, because smaller ones
    would fragment their memory. Large tensors use huge pages, unless the environment variable disables them and if PyTorch
    has not allocated memory yet. No effect on other devices and systems.
    """
    if device.type != "cpu" or sys.platform != "linux":
        return
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    with suppress(OSError, AttributeError):  # a C library other than glibc
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 2**25)  # the maximum in glibc
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(_TOP_PAD, 2**20)


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of malloc.h
