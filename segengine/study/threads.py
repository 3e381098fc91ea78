"""Single-threaded computation before a fork: thread pools don't survive it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def single_threaded() -> Iterator[Callable[[], None]]:
    """Restrict torch and OpenCV to one thread; yields a function that restores their threads, also in a forked process."""
    import cv2
    import torch

    threads, threads_of_cv2 = torch.get_num_threads(), cv2.getNumThreads()

    def restore() -> None:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads_of_cv2)

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield restore
    finally:
        restore()
