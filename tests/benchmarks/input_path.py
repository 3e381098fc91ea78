"""Images a second of the input path, beside plain albumentations in a DataLoader doing the same.

    python tests/benchmarks/input_path.py [--data FOLDER] [--workers 0 1 2] [--seconds 5] [--json FILE]

Multi-scale 0.5-1.5, flip, rotation by up to 15 degrees, brightness and contrast, window of 256; decoded images in
memory. Without --data the images are synthetic, 480x360; with it, the images of a folder (masks are made up).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from segengine.data.geometric import Flip, MultiScale, Rotate
from segengine.data.loading import TrainingStream
from segengine.data.pipeline import Pipeline
from segengine.data.pixels import BrightnessContrast

BASE, WINDOW, BATCH = 256, 256, 16
LONGEST = 480  # pixels of the longer side of the synthetic images


@dataclass(frozen=True)
class Record:
    """An image's name."""

    id: str


class Memory:
    """Decoded images and masks."""

    def __init__(self, images: list[np.ndarray]) -> None:
        rng = np.random.default_rng(0)
        self.images = images
        self.masks = [
            np.kron(rng.integers(0, 11, (60, 60)), np.ones((99, 99)))[: i.shape[0], : i.shape[1]] for i in images
        ]
        self.masks = [np.ascontiguousarray(mask, dtype=np.uint8) for mask in self.masks]
        self.records = [Record(str(index)) for index in range(len(images))]

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask number `index`."""
        return self.images[index], self.masks[index]


class Plain(torch.utils.data.Dataset[Any]):
    """What one writes by hand: a Compose in __getitem__."""

    def __init__(self, memory: Memory) -> None:
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
        import albumentations as A

        self.memory = memory
        longest = max(memory.images[0].shape[:2])
        ratio = BASE / longest
        self.compose = A.Compose(
            [
                A.RandomScale(scale_limit=(0.5 * ratio - 1, 1.5 * ratio - 1), p=1),
                A.HorizontalFlip(p=0.5),
                A.PadIfNeeded(WINDOW, WINDOW, fill_mask=255),
                A.RandomCrop(WINDOW, WINDOW),
                A.Rotate(limit=15, fill_mask=255, border_mode=cv2.BORDER_CONSTANT, p=1),
                A.RandomBrightnessContrast(0.2, 0.2, p=1),
            ]
        )

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self.memory.pair(index % len(self.memory.images))
        changed = self.compose(image=image, mask=mask)
        image = np.ascontiguousarray(changed["image"].transpose(2, 0, 1))
        return torch.from_numpy(image), torch.from_numpy(changed["mask"])


def ours(memory: Memory, workers: int) -> Iterator[int]:
    """Batch sizes of the training stream, for ever."""
    window = (WINDOW, WINDOW)
    transforms = [
        MultiScale(BASE, (0.5, 1.5), window),
        Flip(0.5, 0.0, window),
        Rotate((-15, 15), 1.0, window),
        BrightnessContrast(0.2, 0.2, 1.0, window),
    ]
    indices = range(len(memory.images))
    stream = TrainingStream(memory, indices, Pipeline(transforms), batch_size=BATCH, seed=0, workers=workers)
    try:
        for epoch in range(10**9):
            yield from (len(batch) for batch in stream.epoch(epoch))
    finally:
        stream.close()


def plain(memory: Memory, workers: int) -> Iterator[int]:
    """Batch sizes of a DataLoader over a Compose, for ever."""
    settings: dict[str, Any] = {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
    loader = torch.utils.data.DataLoader(Plain(memory), batch_size=BATCH, num_workers=workers, **settings)
    yield from (len(images) for images, _ in loader)


def images_per_second(batches: Iterator[int], seconds: float) -> float:
    """Images a second once the pipeline has filled."""
    for _ in range(8):
        next(batches)
    seen, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        seen += next(batches)
    speed = seen / (time.perf_counter() - begin)
    batches.close()  # type: ignore[attr-defined]
    return speed


def read(folder: Path | None) -> list[np.ndarray]:
    """The folder's images (the first 64), or 64 synthetic ones."""
    if folder is None:
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 256, (64, 36, 48, 3), dtype=np.uint8)
        return [cv2.resize(image, (LONGEST, 360), interpolation=cv2.INTER_CUBIC) for image in noise]
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".png", ".jpg", ".tif", ".bmp"})
    return [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in paths[:64]]


def say(line: str) -> None:
    """One line of the table."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of images (synthetic ones unless given)")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each is measured")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each, in turns; the best is shown")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "This DataLoader will create")
    memory = Memory(read(arguments.data))
    contenders: dict[str, Callable[[Memory, int], Iterator[int]]] = {"segengine": ours, "albumentations": plain}
    rows = []
    say("| workers | segengine, images/s | albumentations, images/s | times |")
    say("| ---: | ---: | ---: | ---: |")
    for workers in arguments.workers:
        speeds = dict.fromkeys(contenders, 0.0)
        for _ in range(arguments.repeats):
            for name, make in contenders.items():
                speeds[name] = max(speeds[name], images_per_second(make(memory, workers), arguments.seconds))
        ratio = speeds["segengine"] / speeds["albumentations"]
        say(f"| {workers} | {speeds['segengine']:.0f} | {speeds['albumentations']:.0f} | {ratio:.2f} |")
        rows.append({"workers": workers, **speeds, "times": ratio})
    if arguments.json:
        arguments.json.write_text(json.dumps({"batch_size": BATCH, "window": WINDOW, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
