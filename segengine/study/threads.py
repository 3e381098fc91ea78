"""A process that is about to be forked keeps to one thread: pools of threads don't survive a fork."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def single_threaded() -> Iterator[Callable[[], None]]:
    """Torch and OpenCV compute in one thread; gives what sets their numbers of threads back, also in a fork."""
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
