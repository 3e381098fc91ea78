"""Predicts images as they appear in folders, until interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from segengine.inference.predict.inputs import images_below

SECONDS = 1.0
"""Pause between two looks at the folders."""
_State = tuple[int, int]


def new_images(
    folders: Sequence[Path], out: Path, *, wait: Callable[[float], None] = time.sleep
) -> Iterator[list[tuple[Path, Path]]]:
    """New and changed images of folders, as `images_in` gives them, each list after a look; never ends by itself.

    A file counts once its size and time of change are equal in two looks, so that a file still being copied is left for
    later. Looking at the folders, unlike notifications of the system, works on network drives too.
    """
    seen: dict[Path, _State] = {}
    given: dict[Path, _State] = {}
    while True:
        now: dict[Path, tuple[_State, Path]] = {}
        for folder in folders:
            for path in images_below(folder, out):
                try:
                    found = path.stat()
                except OSError:  # removed meanwhile
                    continue
                now[path] = (found.st_size, found.st_mtime_ns), path.relative_to(folder)
        ready = [(p, place) for p, (state, place) in now.items() if seen.get(p) == state and given.get(p) != state]
        given |= {path: seen[path] for path, _ in ready}
        seen = {path: state for path, (state, _) in now.items()}
        if ready:
            yield ready
        else:
            wait(SECONDS)
