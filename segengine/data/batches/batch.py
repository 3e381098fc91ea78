"""Batches of uint8 tensors, collated from decoded images and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segengine.data.augment.transforms import Image, Mask
from segengine.errors import DataError, counted


@dataclass(frozen=True, eq=False)
class Batch:
    """Images uint8 [B, C, h, w] (channels-last in memory), masks uint8 [B, h, w] (255 = ignore), records int64 [B]."""

    images: Tensor
    masks: Tensor
    indices: Tensor

    def __len__(self) -> int:
        return len(self.indices)

    def pin_memory(self) -> Batch:
        """The same batch in pinned memory, for asynchronous copies to a GPU."""
        return Batch(self.images.pin_memory(), self.masks.pin_memory(), self.indices)

    def to(self, device: torch.device | str) -> Batch:
        """The batch with images and masks on `device`; indices stay on the CPU."""
        images, masks = (tensor.to(device, non_blocking=True) for tensor in (self.images, self.masks))
        return Batch(images, masks, self.indices)


class BatchStream(Protocol):
    """Training batches by epoch, resumable at any step. `batch_size` counts the images of all processes."""

    @property
    def batch_size(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def rank(self) -> int: ...

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Batches of this process in epoch number `epoch` (from 0), starting at its step `first_step`."""

    def close(self) -> None:
        """Stop background workers; the stream can be used again."""


class Identified(Protocol):
    """A record; loading needs only its id."""

    @property
    def id(self) -> str:
        """The image's name, unique in the data set."""


class Samples(Protocol):
    """Interface of a data set for loading samples."""

    @property
    def records(self) -> Sequence[Identified]:
        """One record per image."""

    def pair(self, index: int) -> tuple[Image, Mask]:
        """The decoded image uint8 [H, W, C] and its classes uint8 [H, W]."""


class SizedSamples(Samples, Protocol):
    """A data set with image sizes available without decoding."""

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Height and width, int64 [N, 2]."""


def stacked(pairs: Sequence[tuple[Image, Mask]], indices: Sequence[int], samples: Samples, remedy: str) -> Batch:
    """Collate `pairs` of the records `indices` into one batch.

    Raises:
        DataError: two samples differ in size or in channels; names both, and ends with `remedy`.
    """
    first = pairs[0][0]
    images = torch.empty((len(pairs), *first.shape), dtype=torch.uint8)
    masks = torch.empty((len(pairs), *first.shape[:2]), dtype=torch.uint8)
    image_rows, mask_rows = images.numpy(), masks.numpy()
    for row, (image, mask) in enumerate(pairs):
        if image.shape != first.shape:
            raise differing_sizes(samples, (indices[0], first.shape), (indices[row], image.shape), remedy)
        image_rows[row] = image
        mask_rows[row] = mask
    return Batch(images.permute(0, 3, 1, 2), masks, torch.tensor(indices, dtype=torch.int64))


def differing_sizes(
    samples: Samples, one: tuple[int, Sequence[int]], other: tuple[int, Sequence[int]], remedy: str
) -> DataError:
    """The error for two images of one batch, given as record and shape (height, width, channels), that differ."""
    (index, shape), (other_index, other_shape) = one, other
    return DataError(
        f"images of one batch differ in size: {samples.records[index].id} is {_spoken(shape)} and "
        f"{samples.records[other_index].id} is {_spoken(other_shape)}; {remedy}"
    )


def _spoken(shape: Sequence[int]) -> str:
    height, width, channels = shape
    return f"{width}x{height} pixels with {counted(channels, 'channel')}"
