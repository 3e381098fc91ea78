"""All decoded training images and masks as uint8 in the memory of the training device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from segengine.data.augment.transforms import Image, Mask
from segengine.data.batches.batch import SizedSamples
from segengine.data.batches.device_operations import Place
from segengine.data.batches.device_warp import Flat
from segengine.data.files.parallel import Progress, in_threads
from segengine.errors import DataError, counted


@dataclass(frozen=True, eq=False)
class DeviceStore:
    """Images and masks on a device: `flat` has the pixels, `places` the offset and size of each record.

    `masks` are copies in CPU memory, uint8 [H, W] by record, because sampling of windows can depend on mask content. If
    the data set is cached in memory they are views and need no additional memory.
    """

    flat: Flat
    places: Mapping[int, Place]
    masks: Mapping[int, Mask]


def stored(
    samples: SizedSamples, indices: Sequence[int], device: torch.device, progress: Progress | None = None
) -> DeviceStore:
    """The records `indices` of `samples` on `device`; `progress` is called with (activity, number done, total).

    Raises:
        DataError: an image can't be read, or its size or channels have changed.
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
                f"{samples.records[record].id} is not {width}x{height} pixels with {counted(channels, 'channel')} any more; the file "
                "has changed since its size was read; start again"
            )
        images[:, begin : begin + height * width].copy_(_tensor(image).view(-1, channels).t())
        masks[begin : begin + height * width].copy_(_tensor(mask).view(-1))
        return mask

    kept = in_threads(keep, records, "moving images to the device", progress)
    return DeviceStore(Flat(images, masks), places, dict(zip(records, kept, strict=True)))


def needed_bytes(samples: SizedSamples, indices: Sequence[int], channels: int) -> int:
    """Device memory used by `stored`, in bytes."""
    return int(np.asarray(samples.sizes)[sorted(set(indices))].prod(axis=1).sum()) * (channels + 1)


def _tensor(array: Image | Mask) -> torch.Tensor:
    """A copy, because cached arrays are read-only, which torch doesn't support."""
    return torch.from_numpy(np.array(array, order="C"))
