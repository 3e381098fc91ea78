"""Memory available to this process before the kernel's out-of-memory killer acts."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_bytes(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Free or reclaimable memory in bytes: the minimum over the machine and all control groups of the process.

    Swap is excluded; a group's inactive page cache counts as reclaimable. Containers, Slurm and systemd set limits on the
    process's control group or its parents: `own` names the group, `groups` has the limits (cgroups(7), version 2 or 1).
    """
    free = [int(psutil.virtual_memory().available)]
    for folder, limit, used in _places(groups, own):
        with contextlib.suppress(OSError, ValueError):  # the root has no limit, and `max` is not a number
            taken = int((folder / used).read_text()) - _of_files(folder)
            free.append(max(0, int((folder / limit).read_text()) - taken))
    return min(free)


def _places(groups: Path, own: Path) -> Iterator[tuple[Path, str, str]]:
    """The process's control group and its parents, with the names of their limit and usage files."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = ["0::/"]
    for _, kinds, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if kinds not in ("", "memory"):
            continue
        top = groups / kinds
        files = ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else ("memory.max", "memory.current")
        below = Path(path.lstrip("/"))
        for part in (below, *below.parents):
            yield top / part, *files


def _of_files(folder: Path) -> int:
    """Bytes of inactive page cache of a group."""
    found = re.findall(r"^(?:total_)?inactive_file (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
    return int(found[-1]) if found else 0  # version 1 lists the group's own value first, then the total
