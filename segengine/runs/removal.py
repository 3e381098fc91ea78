"""Deletion of run folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from segengine.errors import RunError, SpecError
from segengine.runs import names
from segengine.runs.find import find_runs
from segengine.runs.folder import RunFolder
from segengine.runs.state import in_use


def removable(paths: Sequence[Path]) -> list[RunFolder]:
    """The run folders named by `paths`, without duplicates.

    Raises:
        SpecError: a path isn't a run folder, is a link, or is in use; names all such paths.
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
        return f"{path}: no such folder"
    if not folder.exists:
        below = find_runs(path) if path.is_dir() else []
        hint = f"; runs in it: {below[0].path}{f' and {len(below) - 1} more' * (len(below) > 1)}" if below else ""
        return f"{path}: not a run folder: it has no {names.RUN}{hint}"
    if not folder.is_run:
        return f"{path}: its {names.RUN} is not that of a run; remove the folder by other means"
    if in_use(folder):
        return f"{path}: a process is working on this run; stop it first"
    return ""


def remove(folder: RunFolder) -> list[Path]:
    """Delete the files of a run, and its folder unless it contains other files; returns the files kept.

    The folder is moved aside first, so that a partially deleted folder is never listed as a run. Links that a run didn't
    write are kept, and link targets are never deleted.

    Raises:
        RunError: another process holds the lock, or a file can't be deleted.
    """
    if folder.path.parent.name == names.SET_ASIDE:
        return remove_aside(folder.path)
    with folder.locked():
        aside = folder.set_aside()
        left = [folder.path / path.relative_to(aside) for path in remove_aside(aside)]
        if left:
            aside.rename(folder.path)
            with suppress(OSError):
                aside.parent.rmdir()
    with suppress(OSError):  # others may be in it
        folder.path.parent.rmdir()
    return left


def remove_aside(path: Path) -> list[Path]:
    """Delete the files of a run that was set aside, and its folder and .old once empty.

    Returns:
        The files kept, which no run wrote.

    Raises:
        RunError: a file can't be removed.
    """
    try:
        for place, _, files in os.walk(path, topdown=False):
            for name in files:
                file = Path(place, name)
                if _written(file.relative_to(path)):
                    file.unlink()
            with suppress(OSError):  # something is left in it
                os.rmdir(place)
    except OSError as error:
        raise RunError(f"{path}: can't be removed ({error.strerror})") from error
    with suppress(OSError):  # others are in it
        path.parent.rmdir()
    return sorted(each for each in path.rglob("*") if each.is_symlink() or not each.is_dir()) if path.exists() else []


def _written(name: Path) -> bool:
    parts = name.as_posix().split("/")
    return any(
        len(parts) == len(pattern.split("/")) and all(map(fnmatchcase, parts, pattern.split("/")))
        for pattern in names.WRITTEN
    )
