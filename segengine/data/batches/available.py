"""How much memory this process can still take before the system ends some process."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_bytes(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Memory that is free, or could be at once, in the machine and in each control group that the process is in.

    Swap isn't memory; what a group keeps of files could be free. Containers, Slurm and systemd limit groups, the process'
    own or one above it: `own` names it, `groups` has their limits (cgroups(7), version 2 or 1).
    """
    free = [int(psutil.virtual_memory().available)]
    for folder, limit, used in _places(groups, own):
        with contextlib.suppress(OSError, ValueError):  # the root has no limit, and `max` is none
            taken = int((folder / used).read_text()) - _of_files(folder)
            free.append(max(0, int((folder / limit).read_text()) - taken))
    return min(free)


def _places(groups: Path, own: Path) -> Iterator[tuple[Path, str, str]]:
    """The process' control group and those above it, with the names of the files of their limit and use."""
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
    """Bytes of files that a group keeps and doesn't use."""
    found = re.findall(r"^(?:total_)?inactive_file (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
    return int(found[-1]) if found else 0  # version 1 tells its own first, then the total
