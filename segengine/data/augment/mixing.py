"""Batch augmentations: images of a batch that take parts of each other, with the labels of these parts."""

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
    """Pastes a rectangle of another image of the batch, at its own place (Yun et al., 2019).

    Each image does so with `probability`. The rectangle has the image's aspect ratio and the share 1 - lambda of its
    area, lambda from Beta(`alpha`, `alpha`); its centre is anywhere, and what sticks out is cut off, as in the paper.
    Where the paper mixes the labels of two images, each pixel has its own here.
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
    """Pastes the pixels of classes of another image of the batch, at their own place (Ghiasi et al., 2021).

    Each image does so with `probability`, and then with `share` for each of `classes` (None: all from 1 up), whose
    pixels come all together: masks know no instances.
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
    """For each of `count` images another one, int64 [count]."""
    return (np.arange(count) + rng.integers(1, count, size=count)) % count


def _pasted(images: Tensor, masks: Tensor, partners: npt.NDArray[np.int64], where: Tensor) -> Pair:
    """Images and masks with the partners' pixels, all as they were given, `where` (bool [B, h, w]) is true."""
    source = torch.from_numpy(partners).to(masks.device)
    return torch.where(where[:, None], images[source], images), torch.where(where, masks[source], masks)


@dataclass(frozen=True)
class MixedStream:
    """A training stream whose batches go through batch transforms on `device`.

    Randomness is a pure function of the stream's seed, the batch's number since the start, and the process: so a
    resumed run and any number of workers give the same batches. Each process mixes its own part of a batch, hence
    another number of processes, unlike for sample transforms, gives others.
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
        """Batches of this process in epoch number `epoch` (from 0), from step `first_step` of it on, mixed."""
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
