"""State of runs: status of run.json, lock of the folder, and size on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from segengine.errors import RunError
from segengine.metrics.names import OVERLAPS
from segengine.runs import names
from segengine.runs.folder import RunFolder

State = Literal["finished", "running", "killed", "interrupted", "failed", "unreadable"]
_STAMPED = re.compile(r"(?P<run>.+)-\d{8}T\d{12}")


@dataclass(frozen=True)
class RunState:
    """State of one run. `killed`: run.json says running, but no process holds the lock. Times are ISO 8601 in UTC.

    `size` is in bytes; `scores` are the means of `split`, None where undefined; `split` is "" without scores.
    """

    folder: RunFolder
    experiment: str
    variant: str
    seed: int | None
    fold: int | None
    state: State
    message: str
    size: int
    split: str
    scores: Mapping[str, float | None]
    when: str | None


def state_of(folder: RunFolder) -> RunState:
    """The state of a run folder; a damaged one is `unreadable`, with the reason."""
    size = size_of(folder.path)
    try:
        run = folder.read()
    except RunError as error:
        name = folder.path.parent.name
        return RunState(folder, name, folder.path.name, None, None, "unreadable", str(error), size, "", {}, None)
    split, scores = _scores(run)
    state, message = _state(folder, run)
    return RunState(
        folder, str(run.get("experiment", "")), str(run.get("variant", "")), run.get("seed"), run.get("fold"), state, message,
        size, split, scores, run.get("ended") or run.get("started"),
    )  # fmt: skip


def _state(folder: RunFolder, run: Mapping[str, Any]) -> tuple[State, str]:
    status, message = run.get("status"), " ".join(str(run.get("message") or "").split())
    if status == "finished":
        return "finished", message
    if in_use(folder):
        return "running", ""
    if status == "running":
        return "killed", "its process is gone; `segengine run` resumes from the last checkpoint"
    if status in ("interrupted", "failed"):
        return status, message
    return "unreadable", f"{folder / names.RUN}: unknown status {status!r}"


def _scores(run: Mapping[str, Any]) -> tuple[str, dict[str, float | None]]:
    scores = run.get("scores")
    for split in ("test", "validation", "train"):
        found = scores.get(split) if isinstance(scores, Mapping) else None
        if isinstance(found, Mapping):
            mean = found.get("mean")
            return split, {name: _number(mean, name) for name in OVERLAPS}
    return "", {}


def _number(mean: Any, name: str) -> float | None:
    value = mean.get(name) if isinstance(mean, Mapping) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def in_use(folder: RunFolder) -> bool:
    """Whether a running process holds the folder's lock."""
    path = folder / names.LOCK
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # a read-only folder can't be locked
        return False
    lock.release()
    return False


def size_of(folder: Path) -> int:
    """Total bytes of all files below a folder; links aren't followed."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:  # a running process replaced it meanwhile
                continue
    return total


def set_aside_of(folder: RunFolder) -> list[Path]:
    """The earlier versions of a run that `run --fresh` set aside, oldest first."""
    aside = folder.path.parent / names.SET_ASIDE
    found = sorted(aside.iterdir()) if aside.is_dir() and not aside.is_symlink() else []
    stamped = [(path, _STAMPED.fullmatch(path.name)) for path in found]
    return [path for path, match in stamped if match and match["run"] == folder.path.name]
