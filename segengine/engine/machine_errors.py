"""User messages for machine errors: full disk, read-only folder, killed worker, out of memory."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from segengine.errors import RunError

AGAIN = "run the same command again to resume from the last checkpoint"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
_OUT_OF_MEMORY = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory",
                  "CUDA error: out of memory", "CUDNN_STATUS_ALLOC_FAILED", "MPS backend out of memory")  # fmt: skip
_LOST_PROCESS = ("gloo/", "Gloo ", "NCCL", "ncclRemoteError", "[c10d]", "ProcessGroup")


class MachineError(RunError):
    """An error of the machine (disk, memory, worker process), which may not affect other processes and runs."""


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` means that device or host memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def explained(error: BaseException) -> MachineError | None:
    """The user message for a machine error; None if `error` is of another kind."""
    if out_of_memory(error):
        return MachineError(
            f"out of memory ({_first_sentence(error)}); close other programs that use the device, or start a run with "
            "a smaller crop, network or training.batch_size"
        )
    if _lost_process(error):
        return MachineError(f"another process of this training has ended ({_first_sentence(error)}); {AGAIN}")
    # A worker killed while sending a batch appears as a broken connection.
    broken = isinstance(error, ConnectionError | EOFError)
    if broken or (isinstance(error, RuntimeError) and "DataLoader worker" in str(error)):
        return MachineError(
            f"a data loading worker died ({_first_sentence(error)}); usually memory or shared "
            f"memory is too small: set training.workers to fewer or 0, and {AGAIN}"
        )
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
        return not_written(Path(str(error.filename)) if error.filename else None, error)
    return None


def _lost_process(error: BaseException) -> bool:
    """Whether communication with another process failed."""
    if isinstance(error, torch.distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _LOST_PROCESS)


def not_written(path: Path | None, error: Exception) -> MachineError:
    """The error for a file that couldn't be written or read, with its cause and remedy."""
    cause = next((e for e in _chain(error) if isinstance(e, OSError)), None)
    where = str(path) if path is not None else "a file of the run"
    if cause is None or cause.errno is None:
        known = explained(error) if not isinstance(error, OSError) else None
        return known or MachineError(f"{where}: can't be written ({_first_sentence(error)}); {AGAIN}")
    reason = os.strerror(cause.errno)
    if cause.errno in _FULL:
        return MachineError(f"{where}: the disk is full ({reason}{_free(path)}); free some space, and {AGAIN}")
    if cause.errno in _FORBIDDEN:
        return MachineError(f"{where}: can't be written ({reason}); make the folder writable, and {AGAIN}")
    return MachineError(f"{where}: {reason}; fix this, and {AGAIN}")


def _free(path: Path | None) -> str:
    try:
        return f", {shutil.disk_usage(path.parent).free / 2**20:.0f} MiB are free" if path is not None else ""
    except OSError:
        return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def _first_sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ", 1)[0][:200].rstrip(".")
