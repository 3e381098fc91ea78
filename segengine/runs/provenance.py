"""Provenance of a run: versions, machine, command, commit."""

from __future__ import annotations

import platform
import shlex
import socket
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = (
    "segengine", "torch", "torchvision", "timm", "segmentation-models-pytorch", "albumentations",
    "opencv-python-headless", "numpy", "pillow", "pydantic",
)  # fmt: skip


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that affect results."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def host() -> dict[str, Any]:
    """The machine: name, system, processor."""
    return {"name": socket.gethostname(), "system": platform.platform(), "machine": platform.machine()}


def command() -> str:
    """The command line of this process, quoted for a shell."""
    program = Path(sys.argv[0]).name
    return shlex.join(["segengine" if program == "__main__.py" else program, *sys.argv[1:]])


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and uncommitted changes of the git repository of `folder`; None outside of a repository."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
