"""Batch augmentations: images of a batch exchange regions together with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segengine.data.augment.transforms import IGNORE, BatchTransform
from segengine.data.batches.batch import Batch, BatchStream
from segengine.data.batches.randomness import generator

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class CutMix:
    """Pastes a rectangle of another image of the batch at the same position (Yun et al., 2019).

    Applied to each image with `probability`. The rectangle has the image's aspect ratio and 1 - lambda of its area,
    lambda from Beta(`alpha`, `alpha`); its centre is uniform in the image, and the rectangle is clipped at the border, as
    in the paper. The paper mixes two image labels; here each pixel has its own label.
    """

    probability: float
    alpha: float
    size: tuple[int, int] | None = None

    def apply_batch(self, images: Tensor, masks: Tensor, rng: np.random.Generator) -> Pair:
        count, *area = masks.shape
        if count < 2:
            return images, masks
        partners, chance = _partners(rng, count), rng.random(count) < self.probability
        sides = np.sqrt(1 - rng.beta(self.alpha, self.alpha, count)) * chance
        inside = []
        for length in area:
            centre, half = rng.integers(length, size=count), (sides * length).astype(np.int64) // 2
            places = np.arange(length)
            inside.append((places >= (centre - half)[:, None]) & (places < (centre + half)[:, None]))
        rows, columns = (torch.from_numpy(along).to(masks.device) for along in inside)
        return _pasted(images, masks, partners, rows[:, :, None] & columns[:, None, :])


@dataclass(frozen=True)
class CopyPaste:
    """Pastes all pixels of classes of another image of the batch at the same position (Ghiasi et al., 2021).

    Applied to each image with `probability`, and then to each of `classes` (None: all from 1 up) with probability
    `share`. Semantic masks have no instances, so all pixels of a class are pasted together.
    """

    probability: float
    share: float
    classes: tuple[int, ...] | None = None
    size: tuple[int, int] | None = None

    def apply_batch(self, images: Tensor, masks: Tensor, rng: np.random.Generator) -> Pair:
        count = len(masks)
        if count < 2:
            return images, masks
        partners, chance = _partners(rng, count), rng.random(count) < self.probability
        stated = np.zeros(IGNORE + 1, bool)
        stated[1:IGNORE] = self.classes is None
        stated[list(self.classes or ())] = True
        chosen = (rng.random((count, IGNORE + 1)) < self.share) & stated & chance[:, None]
        table = torch.from_numpy(chosen).to(masks.device)
        source = masks[torch.from_numpy(partners).to(masks.device)].long()
        pasted = table.gather(1, source.flatten(1)).view_as(masks)
        return _pasted(images, masks, partners, pasted)


def _partners(rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
    """The index of another image for each of `count` images, int64 [count]."""
    return (np.arange(count) + rng.integers(1, count, size=count)) % count


def _pasted(images: Tensor, masks: Tensor, partners: npt.NDArray[np.int64], where: Tensor) -> Pair:
    """Images and masks with pixels replaced by the partner's unmodified pixels where `where` (bool [B, h, w])."""
    source = torch.from_numpy(partners).to(masks.device)
    return torch.where(where[:, None], images[source], images), torch.where(where, masks[source], masks)


@dataclass(frozen=True)
class MixedStream:
    """A training stream that applies batch transforms on `device`.

    Randomness is a pure function of the stream's seed, the batch's number since the start, and the process. A
    resumed run and any number of workers therefore give the same batches. Each process mixes its own part of a batch, so,
    unlike for sample transforms, results depend on the number of processes.
    """

    stream: BatchStream
    transforms: Sequence[BatchTransform]
    device: torch.device

    @property
    def batch_size(self) -> int:
        return self.stream.batch_size

    @property
    def steps_per_epoch(self) -> int:
        return self.stream.steps_per_epoch

    @property
    def seed(self) -> int:
        return self.stream.seed

    @property
    def rank(self) -> int:
        return self.stream.rank

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Batches of this process in epoch number `epoch` (from 0), starting at its step `first_step`, mixed."""
        first = epoch * self.steps_per_epoch + first_step
        for number, batch in enumerate(self.stream.epoch(epoch, first_step), first):
            yield self._mixed(batch.to(self.device), number)

    def close(self) -> None:
        """End worker processes; the stream can be used again."""
        self.stream.close()

    def _mixed(self, batch: Batch, number: int) -> Batch:
        rng = generator(self.seed, number, f"process {self.rank}", "mix")
        images, masks = batch.images, batch.masks
        for transform in self.transforms:
            images, masks = transform.apply_batch(images, masks, rng)
        return Batch(images, masks, batch.indices)
