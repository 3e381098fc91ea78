"""Removing runs: what may go, and how."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from segengine.errors import SpecError
from segengine.runs import names
from segengine.runs.find import find_runs
from segengine.runs.folder import RunFolder
from segengine.runs.state import in_use


def removable(paths: Sequence[Path]) -> list[RunFolder]:
    """The run folders that `paths` name, each once.

    Raises:
        SpecError: a path is no run folder, is a link to one, or a process works in it; names all such paths.
    """
    problems = [problem for problem in map(_problem, paths) if problem]
    if problems:
        raise SpecError("\n".join([*problems, "nothing was removed"]))
    return list(dict.fromkeys(RunFolder(Path(os.path.abspath(path))) for path in paths))


def _problem(path: Path) -> str:
    folder = RunFolder(path)
    if path.is_symlink():
        return f"{path}: is a link to {path.resolve()}; name that folder"
    if not path.exists():
        return f"{path}: there is no such folder"
    if not folder.exists:
        below = find_runs(path) if path.is_dir() else []
        hint = f"; runs in it: {below[0].path}{f' and {len(below) - 1} more' * (len(below) > 1)}" if below else ""
        return f"{path}: not a run folder, it has no {names.RUN}{hint}"
    if in_use(folder):
        return f"{path}: a process is working on this run; stop it first"
    return ""


def remove(folder: RunFolder) -> None:
    """Remove a run folder. It first gets out of sight, so that at no moment a part of it looks like a run.

    Links in it are removed, what they point to stays.

    Raises:
        RunError: another process works in it by now.
    """
    if folder.path.parent.name == names.SET_ASIDE:
        remove_aside(folder.path)
        return
    with folder.locked():
        aside = folder.set_aside()
        remove_aside(aside)
    with suppress(OSError):  # others may be in it
        folder.path.parent.rmdir()


def remove_aside(path: Path) -> None:
    """Remove a folder that was set aside, and the hidden folder above it with the last one."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)
    with suppress(OSError):  # others are in it
        path.parent.rmdir()
