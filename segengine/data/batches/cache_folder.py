"""Where decoded images and survey files are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

DECODING = 3
"""Raised where decoding gives other values than before: what was kept by an older version is then not used."""


def default_folder() -> Path:
    """`segengine` in the user's cache folder (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "segengine"
