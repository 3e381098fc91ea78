"""Distributed training: rank, world size, device, and collective operations."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from segengine.engine.launch import end_with_launcher
from segengine.errors import RunError, SpecError, printable

TIMEOUT = timedelta(minutes=10)
"""Timeout of collective operations."""


@dataclass(frozen=True)
class World:
    """Process `rank` of `size` processes that train one model; with `size` 1 torch.distributed isn't used.

    `runs` is the number of concurrent runs on this machine.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    runs: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes files and prints (rank 0)."""
        return self.rank == 0

    def total(self, values: list[float]) -> list[float]:
        """Element-wise sum over all processes, exact for integers below 2**53."""
        if self.size == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    @property
    def cores(self) -> int:
        """CPU cores available to this process, at least 1, divided among processes and concurrent runs."""
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        here = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        return max(1, allowed // (here * self.runs))

    @property
    def wide(self) -> torch.dtype:
        """The widest floating-point format of the device."""
        return torch.float32 if self.device.type == "mps" else torch.float64

    def summed(self, numbers: Tensor) -> Tensor:
        """In-place sum of a device tensor over all processes, without host synchronisation."""
        if self.size > 1:
            dist.all_reduce(numbers)
        return numbers

    def share_buffers(self, module: nn.Module) -> None:
        """Broadcast the buffers of rank 0: batch normalisation's statistics differ between processes."""
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def gathered(self, item: Any) -> list[Any]:
        """The `item` of every process, by rank."""
        if self.size == 1:
            return [item]
        items: list[Any] = [None] * self.size
        dist.all_gather_object(items, item)
        return items

    def gathered_rows(self, rows: Tensor) -> Tensor:
        """Rows int64 [n, columns] of all processes, by rank; n may differ. Transferred as tensors, without pickling."""
        if self.size == 1:
            return rows
        counts = torch.zeros(self.size, dtype=torch.int64, device=self.device)
        counts[self.rank] = len(rows)
        sizes = [int(size) for size in self.summed(counts).tolist()]
        padded = torch.zeros(max(sizes), rows.shape[1], dtype=torch.int64, device=self.device)
        padded[: len(rows)] = rows.to(self.device)
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)]).to(rows.device)

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()


def device_name(device: torch.device) -> str:
    """Display name of the device."""
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else device.type.upper()


def synchronize(device: torch.device) -> None:
    """Wait for all queued work of the device, for correct timing."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def pick_device(requested: str = "auto", local_rank: int = 0) -> torch.device:
    """The torch device; `auto` is this process's GPU if there is one, else the CPU.

    Raises:
        RunError: a GPU is requested but not available.
        SpecError: no such name.
    """
    if not re.fullmatch(r"auto|cpu|gpu|mps|cuda(:[0-9]{1,3})?", requested):
        raise SpecError(f"--device {printable(requested)}: unknown device; use auto, cpu, cuda, cuda:1 or mps")
    if requested in ("auto", "cuda", "gpu") and torch.cuda.is_available():
        return torch.device("cuda", local_rank)
    if requested == "gpu" or (requested.startswith("cuda") and not torch.cuda.is_available()):
        raise RunError(
            "no CUDA GPU is usable here; `segengine doctor` lists what torch detects; omit --device to use the CPU"
        )
    if requested == "mps" and not torch.backends.mps.is_available():
        raise RunError("no Apple GPU is usable here; omit --device to use the CPU")
    chosen = torch.device("cpu" if requested == "auto" else requested)
    if chosen.type == "cuda" and (chosen.index or 0) >= (count := torch.cuda.device_count()):
        raise RunError(
            f"--device {requested}: this machine has {count} CUDA GPU{'s' * (count > 1)}, counted from cuda:0"
        )
    return chosen


@contextmanager
def open_world(device: str = "auto") -> Iterator[World]:
    """Initialise torch.distributed from the environment of torchrun or `launch`, if present; destroyed on exit."""
    end_with_launcher()
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = pick_device(device, local_rank)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if size == 1:
        yield World(chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield World(chosen, rank, size)
        dist.barrier()  # no process may leave while another still communicates
    finally:
        dist.destroy_process_group()
