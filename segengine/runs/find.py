"""Finding run folders."""

from __future__ import annotations

import os
from pathlib import Path

from segengine.runs import names
from segengine.runs.folder import RunFolder


def find_runs(root: Path) -> list[RunFolder]:
    """All run folders at or below `root`, by path; hidden folders (runs set aside) are not looked into."""
    found = []
    for place, folders, files in os.walk(root):
        if names.RUN in files:
            found.append(RunFolder(Path(place)))
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    return sorted(found, key=lambda run: run.path)
