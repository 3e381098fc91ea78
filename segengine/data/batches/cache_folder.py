"""Cache folder for decoded images and survey files."""

from __future__ import annotations

import os
from pathlib import Path

DECODING = 3
"""Incremented when decoding changes values, which invalidates files cached by older versions."""


def default_folder() -> Path:
    """`segengine` in the user's cache folder (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "segengine"
