"""Noise with holes, and its batches made sample by sample and on the device."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from segengine.data.augment.geometric import Flip, MultiScale, Rotate
from segengine.data.augment.pipeline import Pipeline
from segengine.data.augment.pixels import BrightnessContrast
from segengine.data.batches.device_store import stored
from segengine.data.batches.device_stream import DeviceStream
from segengine.data.batches.streams import TrainingStream

CPU = torch.device("cpu")


SIZES = [(60, 90), (72, 54), (60, 90), (99, 63), (60, 90), (72, 54), (48, 48)]


WINDOW = (36, 40)


USUAL = [MultiScale(64, (0.5, 1.5), WINDOW), Flip(0.5, 0.5), Rotate((-20, 20), 0.7), BrightnessContrast(0.2, 0.2, 0.8)]


@dataclass(frozen=True)
class Record:
    id: str


class Samples:
    """Noise, the hardest image to interpolate, and masks with holes of ignored pixels."""

    def __init__(self, sizes=SIZES, channels=3, *, constant=None):
        self.records = [Record(f"case/{index}") for index in range(len(sizes))]
        self.sizes = np.array(sizes, np.int64)
        self.pairs = [self._pair(index, channels, constant) for index in range(len(sizes))]

    def _pair(self, index, channels, constant):
        rng = np.random.default_rng(index)
        height, width = self.sizes[index]
        image = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        mask = rng.integers(0, 4, (height, width), dtype=np.uint8)
        mask[height // 3 :, width // 4 :] = 255
        if constant is not None:
            image[:], mask[:] = 200, constant
        image.flags.writeable = mask.flags.writeable = False
        return image, mask

    def pair(self, index):
        return self.pairs[index]


def streams(transforms, samples=None, *, batch_size=3, **settings):
    """The stream of the CPU and that of the device."""
    samples, pipeline = samples or Samples(), Pipeline(transforms)
    indices = range(len(samples.records))
    order = TrainingStream(samples, indices, pipeline, batch_size=batch_size, seed=1, **settings)
    return order, DeviceStream(order, samples, pipeline, stored(samples, indices, CPU))


def taken(stream, epochs=3):
    return list(itertools.chain.from_iterable(stream.epoch(epoch) for epoch in range(epochs)))


def farthest(one, other):
    """The largest difference of two batches' images, in gray levels."""
    return int((one.images.int() - other.images.int()).abs().max())


def assert_alike(device, cpu, *, levels):
    """The same records, equal masks, and images at most `levels` apart."""
    assert len(device) == len(cpu)
    for one, other in zip(device, cpu, strict=True):
        assert one.indices.tolist() == other.indices.tolist()
        assert torch.equal(one.masks, other.masks)
        assert one.images.shape == other.images.shape
        assert farthest(one, other) <= levels
