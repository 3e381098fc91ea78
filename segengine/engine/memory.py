"""What to do where a batch doesn't fit into memory: compute it in smaller parts."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch

from segengine.data.batches.batch import Batch


@dataclass
class MicroBatch:
    """How many images at most go through the network at once; None: as many as a batch has.

    `untried` says that parts of this size haven't gone through yet, so that memory may run out.
    """

    limit: int | None = None
    untried: bool = True

    def parts(self, batches: Sequence[Batch]) -> list[Batch]:
        """The batches, each cut into parts of nearly equal size that keep the limit."""
        if self.limit is None:
            return list(batches)
        return [part for batch in batches for part in _cut(batch, -(-len(batch.indices) // self.limit))]

    def halve(self, tried: Sequence[Batch]) -> bool:
        """Lower the limit to half of the largest batch that was tried; False where that was a single image."""
        largest = max(len(batch.indices) for batch in tried)
        self.limit, self.untried = -(-largest // 2), True
        return largest > 1


def keep_freed_memory(device: torch.device) -> None:
    """Fault fewer pages in: on a CPU with glibc that is about an eighth of a training step. No number changes.

    What tensors of up to 32 MB free is kept for the next ones instead of going back to the system; larger ones come from
    the system and go back, for what they left would be cut up by smaller ones and the process grow. PyTorch's large
    tensors ask for huge pages, unless the environment says otherwise; that holds where PyTorch hasn't used its memory
    yet. Elsewhere nothing happens.
    """
    if device.type != "cpu" or sys.platform != "linux":
        return
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    with suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 2**25)  # the largest that glibc takes
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(_TOP_PAD, 2**20)


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of malloc.h


def free_memory(device: torch.device) -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _cut(batch: Batch, pieces: int) -> list[Batch]:
    parts = zip(*(tensor.tensor_split(pieces) for tensor in (batch.images, batch.masks, batch.indices)), strict=True)
    return [Batch(images, masks, indices) for images, masks, indices in parts]
