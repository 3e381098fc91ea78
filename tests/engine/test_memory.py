from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

from segengine.engine import memory
from segengine.engine.memory import free_bytes, keep_freed_memory, limit_gpu_part

FAULTS = """
import os, resource, sys, torch
from segengine.engine.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory(torch.device("cpu"))
torch.set_num_threads(1)
for i in range(25):
    if i == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    maps = [torch.ones(4 << 20) for _ in range(4)]  # 16 MB each
    del maps
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, os.environ.get("THP_MEM_ALLOC_ENABLE"))
"""


def faults(keep: str, **environment: str) -> tuple[int, str]:
    """Pages faulted in by twenty rounds of four maps after a few others, and the setting of huge pages."""
    surrounding = {key: value for key, value in os.environ.items() if key != "THP_MEM_ALLOC_ENABLE"} | environment
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, keep], env=surrounding, capture_output=True, text=True, check=True
    )
    count, setting = done.stdout.split()
    return int(count), setting


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc's settings")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    small = {"THP_MEM_ALLOC_ENABLE": "0", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    given_back, _ = faults("no", **small)
    kept, setting = faults("keep", **small)
    assert setting == "0"  # a choice of the user's stands
    assert given_back > 20 * 4 * (16 << 20) / os.sysconf("SC_PAGE_SIZE") * 0.9
    assert kept < 0.1 * given_back
    _, setting = faults("keep")
    assert setting == "1"


def test_on_another_device_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    keep_freed_memory(torch.device("cuda"))
    assert "THP_MEM_ALLOC_ENABLE" not in os.environ


@pytest.mark.parametrize(
    ("free", "part", "reserved", "usable"),
    [(10, 1.0, 0, 10), (10, 0.5, 0, 8), (3, 0.5, 0, 3), (10, 0.5, 6, 2), (10, 0.25, 6, 0)],
)
def test_a_run_with_half_a_gpu_counts_on_half_of_it(
    free: int, part: float, reserved: int, usable: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gb = 10**9
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free * gb, 16 * gb))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: part)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved * gb)
    assert free_bytes(torch.device("cuda", 0)) == usable * gb


def test_the_part_of_a_gpu_is_given_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[float, torch.device]] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *arguments: given.append(arguments))
    gpu = torch.device("cuda", 0)
    for device, part in ((gpu, 1.0), (gpu, 0.5), (torch.device("cpu"), 0.5)):
        limit_gpu_part(device, part)
    assert given == [(0.5, gpu)]


def test_a_cpus_free_memory_is_what_the_machine_and_its_control_groups_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 123)
    assert free_bytes(torch.device("cpu")) == 123


@pytest.mark.gpu
def test_half_a_gpu_is_half_of_its_memory() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    total = torch.cuda.mem_get_info(device)[1]
    limit_gpu_part(device, 0.5)
    try:
        assert free_bytes(device) <= total / 2
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(int(0.6 * total), dtype=torch.uint8, device=device)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
