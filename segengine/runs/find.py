"""Finding run folders."""

from __future__ import annotations

import os
from pathlib import Path

from segengine.runs import names
from segengine.runs.folder import RunFolder


def find_runs(root: Path) -> list[RunFolder]:
    """All run folders at or below `root`, by path, those that lost their run.json too; hidden folders are not searched."""
    found = []
    for place, folders, files in os.walk(root):
        if names.RUN in files or {names.SPEC, names.EXPERIMENT} <= {
            *files
        }:  # without run.json a run is damaged, not gone
            found.append(RunFolder(Path(place)))
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    return sorted(found, key=lambda run: run.path)
