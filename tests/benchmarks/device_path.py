"""Images a second of batches made on the device, beside those made sample by sample on the CPU, and the limits.

    python tests/benchmarks/device_path.py [--device cuda] [--size 480 360] [--window 256] [--batch 16] [--json FILE]

Multi-scale 0.5-1.5, flip, rotation by up to 15 degrees, brightness and contrast; synthetic images in memory. Limits:
drawing alone (what the CPU does for the device) and a copy of a finished batch within the device's memory. All take
turns, `--repeats` times, and the best of each is shown, so that other work on the machine spoils little. On a GPU a
batch counts when it is there: as uint8 in the GPU's memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import torch

from segengine.data.augment.geometric import Flip, MultiScale, Rotate
from segengine.data.augment.pipeline import Pipeline
from segengine.data.augment.pixels import BrightnessContrast
from segengine.data.batches.batch import Batch
from segengine.data.batches.device_store import stored
from segengine.data.batches.device_stream import DeviceStream
from segengine.data.batches.streams import TrainingStream
from segengine.engine.distributed import device_name, synchronize

IMAGES = 64


@dataclass(frozen=True)
class Record:
    """An image's name."""

    id: str


class Memory:
    """Decoded images and masks of one size."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        rng = np.random.default_rng(0)
        self.sizes = np.full((IMAGES, 2), (height, width))
        self.records = [Record(str(index)) for index in range(IMAGES)]
        noise = rng.integers(0, 256, (IMAGES, 36, 48, channels), dtype=np.uint8)
        self.images = [
            cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
            for image in noise
        ]
        labels = rng.integers(0, 11, (IMAGES, 18, 24), dtype=np.uint8)
        self.masks = [cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) for mask in labels]

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask number `index`."""
        return self.images[index], self.masks[index]


def every(stream: TrainingStream | DeviceStream, device: torch.device) -> Iterator[int]:
    """Batch sizes of a stream, for ever, each batch on the device."""
    try:
        for epoch in count():
            yield from (len(batch.to(device)) for batch in stream.epoch(epoch))
    finally:
        stream.close()


def drawn(stream: DeviceStream) -> Iterator[int]:
    """Batch sizes of plans alone, made in this thread."""
    yield from (len(stream._draw(step).indices) for step in count())


def copied(batch: Batch) -> Iterator[int]:
    """Batch sizes of a batch that is copied again and again."""
    images, masks = torch.empty_like(batch.images), torch.empty_like(batch.masks)
    while True:
        images.copy_(batch.images)
        masks.copy_(batch.masks)
        yield len(batch)


def images_per_second(batches: Iterator[int], seconds: float, device: torch.device) -> float:
    """Images a second once the pipeline has filled."""
    for _ in range(8):
        next(batches)
    synchronize(device)
    seen, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        seen += sum(next(batches) for _ in range(4))
        synchronize(device)
    speed = seen / (time.perf_counter() - begin)
    batches.close()  # type: ignore[attr-defined]
    return speed


def contenders(arguments: argparse.Namespace, device: torch.device) -> dict[str, Callable[[], Iterator[int]]]:
    """What is measured, by name."""
    height, width = arguments.size[::-1]
    window = (arguments.window, arguments.window)
    memory = Memory(height, width, arguments.channels)
    turn = [] if arguments.straight else [Rotate((-15, 15), 1.0, window)]
    scaled = MultiScale(max(arguments.size), (0.5, 1.5), window)
    pipeline = Pipeline([scaled, Flip(0.5, 0.0, window), *turn, BrightnessContrast(0.2, 0.2, 1.0, window)])
    store = stored(memory, range(IMAGES), device)

    def plain(workers: int) -> TrainingStream:
        gpu = device.type == "cuda"
        settings = {"batch_size": arguments.batch, "seed": 0, "workers": workers, "pin_memory": gpu}
        return TrainingStream(memory, range(IMAGES), pipeline, **settings)

    def on_device() -> DeviceStream:
        return DeviceStream(plain(0), memory, pipeline, store)

    finished = next(on_device().epoch(0))
    return {
        "batches made on the device": lambda: every(on_device(), device),
        **{
            f"sample by sample, {workers} workers": lambda workers=workers: every(plain(workers), device)  # type: ignore[misc]
            for workers in arguments.workers
        },
        "limit: drawing alone": lambda: drawn(on_device()),
        "limit: a copy on the device": lambda: copied(finished),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(480, 360), help="width and height of the images in pixels"
    )
    parser.add_argument("--channels", type=int, default=3, help="channels of the images")
    parser.add_argument("--window", type=int, default=256, help="side of the samples in pixels")
    parser.add_argument("--batch", type=int, default=16, help="images a batch")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="of the path sample by sample")
    parser.add_argument("--straight", action="store_true", help="no rotation, which is cheaper on the CPU")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each is measured")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each, in turns; the best is shown")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    device = torch.device(arguments.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    speeds: dict[str, float] = {}
    with torch.no_grad():
        made = contenders(arguments, device)
        for _ in range(arguments.repeats):
            for name, begin in made.items():
                speeds[name] = max(speeds.get(name, 0), images_per_second(begin(), arguments.seconds, device))
    first = next(iter(speeds.values()))
    width, height = arguments.size
    say = sys.stdout.write
    say(f"{device_name(device)}; images {width}x{height}, samples {arguments.window}x{arguments.window}, ")
    say(f"batches of {arguments.batch}\n\n| input | images/s | the device's batches are |\n| --- | ---: | ---: |\n")
    for name, speed in speeds.items():
        say(f"| {name} | {speed:,.0f} | {first / speed:.2f} times as fast |\n")
    if arguments.json:
        facts = {"device": device_name(device), "size": arguments.size, "window": arguments.window}
        document = facts | {"batch_size": arguments.batch, "images_per_second": speeds}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
