"""Counts of a model's confusions, per image, at the files' own size, each image exactly once on any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segengine.data.batches import SizedSamples
from segengine.data.loading import evaluation_batches
from segengine.data.mapping import IGNORE
from segengine.engine.prediction import Predictor
from segengine.engine.world import World

_MOST_LOGITS = 2**26  # 256 MiB of float32 at a time on a GPU


def evaluate(
    predictor: Predictor, dataset: SizedSamples, indices: Sequence[int], num_classes: int, world: World, *,
    seen: Callable[[int], None] | None = None,
) -> dict[int, NDArray[np.int64]]:  # fmt: skip
    """Confusion counts int64 [K, K] (rows truth, columns predicted) by image index, the same on every process.

    `seen` is called with the number of images after each batch of this process.
    """
    mine = list(indices)[world.rank :: world.size]
    counts: dict[int, NDArray[np.int64]] = {}
    for batch in evaluation_batches(dataset, mine, _batch_size(dataset, mine, num_classes, predictor.device)):
        predicted = predictor.classes(batch.images)
        tables = confusions(batch.masks.to(predicted.device), predicted, num_classes).cpu().numpy()
        counts.update({int(index): table for index, table in zip(batch.indices, tables, strict=True)})
        if seen is not None:
            seen(len(tables))
    everyone = [item for part in world.gathered(counts) for item in part.items()]
    return dict(sorted(everyone))


def confusions(truth: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Counts int64 [B, K, K] (rows truth, columns predicted) of uint8 [B, H, W]; pixels ignored in the truth are left out.

    One bincount over image, truth and prediction; ignored pixels fall into a bin of their own.
    """
    images, cells = len(truth), num_classes * num_classes
    cell = truth.to(torch.int64) * num_classes + predicted
    cell = torch.where(truth == IGNORE, cells, cell)
    cell += torch.arange(images, device=cell.device)[:, None, None] * (cells + 1)
    counts = torch.bincount(cell.flatten(), minlength=images * (cells + 1))
    return counts.view(images, cells + 1)[:, :cells].view(images, num_classes, num_classes)


def _batch_size(dataset: SizedSamples, indices: Sequence[int], num_classes: int, device: torch.device) -> int:
    """One image at a time on a CPU, where batches gain nothing; as many as fit the limit on a GPU."""
    if device.type == "cpu" or not indices:
        return 1
    largest = int(np.prod(dataset.sizes[np.asarray(indices)], axis=1).max())
    return int(min(64, max(1, _MOST_LOGITS // (largest * num_classes))))
