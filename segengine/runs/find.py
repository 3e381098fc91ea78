"""Finding run folders."""

from __future__ import annotations

import os
from pathlib import Path

from segengine.runs import names
from segengine.runs.folder import RunFolder


def find_runs(root: Path) -> list[RunFolder]:
    """All run folders at or below `root`, by path, including damaged ones without run.json; hidden folders are skipped."""
    found = []
    for place, folders, files in os.walk(root):
        if names.RUN in files or {names.SPEC, names.EXPERIMENT} <= {*files}:  # a run without run.json is damaged
            found.append(RunFolder(Path(place)))
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    return sorted(found, key=lambda run: run.path)
