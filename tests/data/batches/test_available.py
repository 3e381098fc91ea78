from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from segengine.data.batches.available import available_bytes

MB = 10**6


def group(folder: Path, limit: str, used: int, files: int = 0, *, old: bool = False) -> None:
    """A control group as the kernel shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if old else ("memory.max", "memory.current")
    for name, content in zip(names, (limit, str(used)), strict=True):
        (folder / name).write_text(f"{content}\n")
    before = f"inactive_file 7\ntotal_inactive_file {files}" if old else f"inactive_file {files}"
    (folder / "memory.stat").write_text(f"anon 1\n{before}\nactive_file 5\n")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with 8 GB free."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("", (), {"available": 8000 * MB, "total": 9000 * MB}))


def free(tmp_path: Path, own: str) -> int:
    (tmp_path / "own").write_text(own)
    return available_bytes(tmp_path / "groups", tmp_path / "own") // MB


def test_without_control_groups_the_machines_memory_is_free(tmp_path: Path) -> None:
    assert available_bytes(tmp_path, tmp_path / "none") == 8000 * MB
    assert free(tmp_path, "0::/\n") == 8000


def test_a_container_has_its_limit_and_may_drop_files(tmp_path: Path) -> None:
    group(tmp_path / "groups", str(3000 * MB), 2500 * MB, files=1000 * MB)
    assert free(tmp_path, "0::/\n") == 1500


def test_the_tightest_group_above_the_process_decides(tmp_path: Path) -> None:
    group(tmp_path / "groups/slurm/job_1/step_0", "max", 100 * MB)
    group(tmp_path / "groups/slurm/job_1", str(2000 * MB), 700 * MB)
    group(tmp_path / "groups/slurm", str(7000 * MB), 800 * MB)
    assert free(tmp_path, "0::/slurm/job_1/step_0\n") == 1300


def test_groups_of_the_old_kind_count_too(tmp_path: Path) -> None:
    group(tmp_path / "groups/memory/docker/abc", str(1000 * MB), 900 * MB, files=200 * MB, old=True)
    assert free(tmp_path, "5:cpu:/docker/abc\n4:memory:/docker/abc\n0::/\n") == 300


def test_a_group_that_is_full_has_nothing_free(tmp_path: Path) -> None:
    group(tmp_path / "groups", str(1000 * MB), 1100 * MB)
    assert free(tmp_path, "0::/\n") == 0
