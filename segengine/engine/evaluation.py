"""Confusion counts per image at the files' original size; each image is evaluated exactly once on any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segengine.data.batches.batch import Batch, SizedSamples
from segengine.data.batches.streams import evaluation_batches
from segengine.data.masks.mapping import IGNORE
from segengine.engine.distributed import World
from segengine.engine.prediction import PassLimits
from segengine.metrics.confusion import ImageCounts
from segengine.metrics.pairs import ImagePair
from segengine.metrics.values import Measurement


class Predicts(Protocol):
    """What evaluation needs of a model; see `Predictor`."""

    @property
    def device(self) -> torch.device: ...
    @property
    def limits(self) -> PassLimits: ...
    def classes(self, images: Tensor) -> Tensor:
        """Class indices uint8 [B, H, W] of images uint8 [B, C, H, W]."""

    def classes_and_probabilities(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """`classes`, and the probabilities float32 [B, K, H, W], or None where they come in bands."""

    def probability_bands(self, image: Tensor) -> Iterator[Tensor]:
        """Probabilities float32 [K, h, W] of an image uint8 [C, H, W], rows from the top in bands."""


Measured = dict[str, list[tuple[float, int]]]
"""Metric values of one image: by metric, for each class the value and the index in STATES."""
_MOST_LOGITS = 2**26  # 256 MiB of float32 at a time on a GPU
_MOST_PIXELS = 2**24  # counted at a time, at three int64 per pixel


def evaluate(
    predictor: Predicts, dataset: SizedSamples, indices: Sequence[int], num_classes: int, world: World, *,
    seen: Callable[[int], None] | None = None,
) -> ImageCounts:  # fmt: skip
    """Confusion counts int64 [K, K] (rows truth, columns predicted) by image index, identical on every process.

    `seen` is called with the number of images after each batch of this process.
    """
    return evaluate_and_measure(predictor, dataset, indices, num_classes, world, measurement=None, seen=seen)[0]


def evaluate_and_measure(
    predictor: Predicts, dataset: SizedSamples, indices: Sequence[int], num_classes: int, world: World,
    *, measurement: Measurement | None, seen: Callable[[int], None] | None = None,
) -> tuple[ImageCounts, dict[int, Measured]]:  # fmt: skip
    """Confusion counts, and per image the values of `measurement` on the same prediction (empty without one)."""
    mine = list(indices)[world.rank :: world.size]
    counts = ImageCounts(num_classes)
    measured: dict[int, Measured] = {}
    images = _images_per_pass(dataset, mine, num_classes, predictor)
    for batch in evaluation_batches(dataset, mine, images, threads=world.cores):
        predicted, probabilities = _predicted(predictor, batch, measurement)
        tables = confusions(batch.masks.to(predicted.device), predicted, num_classes).cpu().numpy()
        for index, table in zip(batch.indices.tolist(), tables, strict=True):
            counts.add(index, table)
        if measurement is not None:
            measured |= _measured(predictor, batch, predicted, probabilities, measurement)
        if seen is not None:
            seen(len(tables))
    if world.size == 1:
        return counts, dict(sorted(measured.items()))
    packed = world.gathered_rows(torch.from_numpy(counts.packed())).numpy()
    everywhere = world.gathered(measured) if measurement is not None else []
    return ImageCounts.unpacked(packed, num_classes), dict(sorted(item for part in everywhere for item in part.items()))


def _predicted(predictor: Predicts, batch: Batch, measurement: Measurement | None) -> tuple[Tensor, Tensor | None]:
    if measurement is not None and measurement.probabilities:
        return predictor.classes_and_probabilities(batch.images)
    return predictor.classes(batch.images), None


def _measured(
    predictor: Predicts, batch: Batch, predicted: Tensor, probabilities: Tensor | None, measurement: Measurement
) -> dict[int, Measured]:
    truth, classes = batch.masks.numpy(), predicted.cpu().numpy()
    found = {}
    for i, index in enumerate(batch.indices.tolist()):
        bands: Callable[[], Iterable[NDArray[np.float32]]] | None = None
        if probabilities is not None:
            bands = partial(_whole, probabilities[i])
        elif measurement.probabilities:
            bands = partial(_in_bands, predictor, batch.images[i])
        pair = ImagePair(
            truth[i],
            classes[i],
            measurement.num_classes,
            measurement.classes,
            measurement.spacings.get(int(index), measurement.spacing),
            probabilities=bands,
        )
        found[int(index)] = measurement.of(pair)
    return found


def _whole(probabilities: Tensor) -> list[NDArray[np.float32]]:
    return [probabilities.cpu().numpy()]


def _in_bands(predictor: Predicts, image: Tensor) -> Iterator[NDArray[np.float32]]:
    for band in predictor.probability_bands(image):
        yield band.numpy()


def confusions(truth: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Counts int64 [B, K, K] (rows truth, columns predicted) of uint8 [B, H, W]; pixels ignored in the truth are excluded.

    Large images are counted in bands of rows, so that memory doesn't grow with them.
    """
    rows = max(1, _MOST_PIXELS // max(1, len(truth) * truth.shape[2]))
    bands = zip(torch.split(truth, rows, dim=1), torch.split(predicted, rows, dim=1), strict=True)
    return torch.stack([_confusions(t, p, num_classes) for t, p in bands]).sum(0)


def _confusions(truth: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """One bincount over image, truth and prediction; ignored pixels fall into a bin of their own."""
    images, cells = len(truth), num_classes * num_classes
    cell = truth.to(torch.int64) * num_classes + predicted
    cell = torch.where(truth == IGNORE, cells, cell)
    cell += torch.arange(images, device=cell.device)[:, None, None] * (cells + 1)
    counts = torch.bincount(cell.flatten(), minlength=images * (cells + 1))
    return counts.view(images, cells + 1)[:, :cells].view(images, num_classes, num_classes)


def most_images(pixels: int, num_classes: int, device: torch.device) -> int:
    """Upper bound of images of `pixels` per pass: 1 on a CPU, where larger batches gain nothing."""
    if device.type == "cpu":
        return 1
    return int(min(64, max(1, _MOST_LOGITS // max(1, pixels * num_classes))))


def _images_per_pass(dataset: SizedSamples, indices: Sequence[int], num_classes: int, predictor: Predicts) -> int:
    if not indices:
        return 1
    largest = int(np.prod(dataset.sizes[np.asarray(indices)], axis=1).max())
    most = most_images(largest, num_classes, predictor.device)
    return min(most, predictor.limits.images or most)
