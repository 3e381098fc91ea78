"""Decoded training images and masks, all of them, as uint8 in the memory of the device that trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from segengine.data.augment.transforms import Image, Mask
from segengine.data.batches.batch import SizedSamples
from segengine.data.batches.device_plan import Place
from segengine.data.batches.device_warp import Flat
from segengine.data.files.parallel import Progress, in_threads
from segengine.errors import DataError


@dataclass(frozen=True, eq=False)
class DeviceStore:
    """Images and masks on a device: `flat` holds them, `places` says where that of a record begins, and its size.

    `masks` are the same ones in the memory of the CPU, uint8 [H, W] by record: which window is drawn can depend on what
    it shows. With a data set that is decoded in memory they take no memory of their own.
    """

    flat: Flat
    places: Mapping[int, Place]
    masks: Mapping[int, Mask]


def stored(
    samples: SizedSamples, indices: Sequence[int], device: torch.device, progress: Progress | None = None
) -> DeviceStore:
    """The records `indices` of `samples` on `device`; `progress` is called with what is done, how many, and of how many.

    Raises:
        DataError: an image can't be read, or doesn't have the size or the channels that it should.
    """
    records = sorted(set(indices))
    pixels = np.asarray(samples.sizes)[records].prod(axis=1).tolist()
    begins = np.cumsum([0, *pixels]).tolist()
    channels = samples.pair(records[0])[0].shape[2]
    images = torch.empty((channels, begins[-1]), dtype=torch.uint8, device=device)
    masks = torch.empty(begins[-1], dtype=torch.uint8, device=device)
    places = {record: (begin, *map(int, samples.sizes[record])) for record, begin in zip(records, begins, strict=False)}

    def keep(record: int) -> Mask:
        image, mask = samples.pair(record)
        begin, height, width = places[record]
        if image.shape != (height, width, channels) or mask.shape != (height, width):
            raise DataError(
                f"{samples.records[record].id} is not {width}x{height} pixels with {channels} channels any more; the file "
                "has changed since its size was read; start again"
            )
        images[:, begin : begin + height * width].copy_(_tensor(image).view(-1, channels).t())
        masks[begin : begin + height * width].copy_(_tensor(mask).view(-1))
        return mask

    kept = in_threads(keep, records, "moving images to the device", progress)
    return DeviceStore(Flat(images, masks), places, dict(zip(records, kept, strict=True)))


def needed_bytes(samples: SizedSamples, indices: Sequence[int], channels: int) -> int:
    """What `stored` takes of the device's memory."""
    return int(np.asarray(samples.sizes)[sorted(set(indices))].prod(axis=1).sum()) * (channels + 1)


def _tensor(array: Image | Mask) -> torch.Tensor:
    """A copy: what is cached is read-only, which torch doesn't know."""
    return torch.from_numpy(np.array(array, order="C"))
