"""Decoded pairs in one memory-mapped file shared by all processes of a machine."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import mmap
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from segengine.data.files.parallel import Progress, in_threads
from segengine.errors import DataError

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (its file is private to the user, and named by content)
_PREFIX = "segengine-pairs"
_SPARE = 1.1  # other programs also use shared memory
_ABANDONED_SECONDS = 24 * 3600


class SharedPairs:
    """Returns pair i as read-only views of the mapped file: image uint8 [H, W, C], then classes uint8 [H, W]."""

    def __init__(self, path: Path, sizes: NDArray[np.int64], channels: int) -> None:
        self._sizes, self._channels = sizes, channels
        self._begins = _begins(sizes, channels)
        with path.open("rb") as file:
            self._bytes = np.frombuffer(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ), np.uint8)

    def __call__(self, index: int) -> Pair:
        return _views(self._bytes, self._begins, self._sizes, self._channels, index)


def can_share() -> bool:
    """Whether this system supports sharing: a mapped file must survive unlinking."""
    return sys.platform == "linux"


def shared_pairs(
    decode: Callable[[int], Pair],
    sizes: NDArray[np.int64],
    channels: int,
    keys: Sequence[str],
    *,
    processes: int,
    folder: Path,
    progress: Progress | None = None,
) -> SharedPairs | None:
    """Pairs decoded by the first of `processes` and mapped by the others; None if there is no room for the file.

    The file is in shared memory, or in `folder` if that is too small. It is unlinked once all processes have mapped it,
    so the system frees it after the last process ends, however it ends.

    Args:
        decode: returns pair i.
        sizes: height and width of each pair, int64 [N, 2].
        channels: of the images.
        keys: cache key of each pair.
        processes: number of processes on this machine that call this with the same pairs.
        folder: a folder on disk.
        progress: called with ("decoding", done, total) by the process that decodes.

    Raises:
        DataError: a file can't be read, or has changed since its size was read.
    """
    total = int(_begins(sizes, channels)[-1])
    name = f"{_PREFIX}-{os.getuid()}-{hashlib.sha256(repr(list(keys)).encode()).hexdigest()[:32]}"
    for place in (_SHARED_MEMORY, folder / "shared"):
        with contextlib.suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(place)
            path = place / name
            with _locked(path):
                if not path.exists():
                    if _free_bytes(place) < _SPARE * total:
                        continue
                    _build(path, decode, sizes, channels, progress)
                    atexit.register(_remove, path)  # where another process ends before it has mapped the file
                pairs = SharedPairs(path, sizes, channels)
                _count_in(path, processes)
                return pairs
    return None


def _build(
    path: Path, decode: Callable[[int], Pair], sizes: NDArray[np.int64], channels: int, progress: Progress | None
) -> None:
    begins = _begins(sizes, channels)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(handle, 0, max(1, int(begins[-1])))  # reports a full disk here instead of crashing later
        target = np.frombuffer(mmap.mmap(handle, 0), np.uint8)

        def fill(index: int) -> None:
            for place, array in zip(_views(target, begins, sizes, channels, index), decode(index), strict=True):
                if place.shape != array.shape:
                    raise DataError(f"an image has changed to {array.shape} since its size was read; start again")
                place[...] = array

        in_threads(fill, range(len(sizes)), "decoding", progress)
        part.replace(path)
    finally:
        os.close(handle)
        part.unlink(missing_ok=True)


def _count_in(path: Path, processes: int) -> None:
    """Count a process that has mapped the file; the last one unlinks it. Called under the file's lock."""
    counter = path.with_name(f"{path.name}.processes")
    mapped = int(counter.read_text()) + 1 if counter.exists() else 1
    if mapped < processes:
        counter.write_text(str(mapped))
        return
    _remove(path)


def _remove(path: Path) -> None:
    """Remove the file's name, its counter and its lock; a process that waits for the lock takes a new one."""
    for used in (path, path.with_name(f"{path.name}.processes"), path.with_name(f"{path.name}.lock")):
        with contextlib.suppress(OSError):
            used.unlink()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The lock of a file of pairs; the lock's own file is removed on leaving where there are no pairs to protect."""
    with FileLock(path.with_name(f"{path.name}.lock"), mode=0o600):
        try:
            yield
        finally:
            if not path.exists():
                _remove(path)


def _remove_abandoned(place: Path) -> None:
    """Remove files of processes that were killed before all of them had mapped the file."""
    oldest = time.time() - _ABANDONED_SECONDS
    for path in place.glob(f"{_PREFIX}-{os.getuid()}-*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _free_bytes(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def _begins(sizes: NDArray[np.int64], channels: int) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes.prod(axis=1) * (channels + 1))]).astype(np.int64)


def _views(
    whole: NDArray[np.uint8], begins: NDArray[np.int64], sizes: NDArray[np.int64], channels: int, index: int
) -> Pair:
    height, width = (int(side) for side in sizes[index])
    begin, middle = int(begins[index]), int(begins[index]) + height * width * channels
    image = whole[begin:middle].reshape(height, width, channels)
    return image, whole[middle : middle + height * width].reshape(height, width)
