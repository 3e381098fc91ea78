"""Maps a function over many files in threads, with progress reports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

Progress = Callable[[str, int, int], None]
"""Callback (activity, number done, total)."""

_MOST_TOGETHER = 16  # items per task: for small files, submitting a task costs as much as an item

_T = TypeVar("_T")
_R = TypeVar("_R")


def in_threads(
    function: Callable[[_T], _R], items: Sequence[_T], what: str, progress: Progress | None = None
) -> list[_R]:
    """Results in the order of the items; the first exception cancels the rest."""
    workers = max(1, min(8, os.cpu_count() or 1, len(items)))
    size = max(1, min(_MOST_TOGETHER, len(items) // (workers * _MOST_TOGETHER)))
    chunks = (items[start : start + size] for start in range(0, len(items), size))
    with ThreadPoolExecutor(workers) as pool:
        try:
            found = pool.map(lambda chunk: [function(item) for item in chunk], chunks)
            return list(_reported(chain.from_iterable(found), what, len(items), progress))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _reported(results: Iterable[_R], what: str, total: int, progress: Progress | None) -> Iterable[_R]:
    for done, result in enumerate(results, start=1):
        if progress is not None:
            progress(what, done, total)
        yield result
