"""What to do where a batch doesn't fit into memory: compute it in smaller parts."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from segengine.data.batches import Batch


@dataclass
class MicroBatch:
    """How many images at most go through the network at once; None: as many as a batch has."""

    limit: int | None = None

    def parts(self, batches: Sequence[Batch]) -> list[Batch]:
        """The batches, each cut into parts of nearly equal size that keep the limit."""
        if self.limit is None:
            return list(batches)
        return [part for batch in batches for part in _cut(batch, -(-len(batch.indices) // self.limit))]

    def halve(self, tried: Sequence[Batch]) -> bool:
        """Lower the limit to half of the largest batch that was tried; False where that was a single image."""
        largest = max(len(batch.indices) for batch in tried)
        self.limit = -(-largest // 2)
        return largest > 1


def free_memory(device: torch.device) -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _cut(batch: Batch, pieces: int) -> list[Batch]:
    parts = zip(*(tensor.tensor_split(pieces) for tensor in (batch.images, batch.masks, batch.indices)), strict=True)
    return [Batch(images, masks, indices) for images, masks, indices in parts]
