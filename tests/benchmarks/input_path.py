"""Images a second of the input path, beside a plain albumentations pipeline and beside the limits, in one run.

    python tests/benchmarks/input_path.py [--sizes 480x360 256x256] [--workers 0 1 2] [--seconds 2] [--json FILE]

Multi-scale 0.5-1.5, flip, rotation by up to 15 degrees, brightness and contrast, window of 256, batch of 16. Images are
real where SEGENGINE_DATASETS names a folder of data sets (street: 480x360 in colour, abdomen-mr: 256x256 gray), and
synthetic elsewhere, written as JPEG (480x360) and PNG (256x256) with PNG masks. All take turns, `--repeats` times, and
the best of each is shown, so that other work on the machine spoils little.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from segengine.data.augment.geometric import Flip, MultiScale, Rotate
from segengine.data.augment.pipeline import Pipeline
from segengine.data.augment.pixels import BrightnessContrast
from segengine.data.augment.transforms import Transform
from segengine.data.batches.streams import TrainingStream

WINDOW, BATCH, IMAGES = 256, 16, 64
REAL = {
    "480x360": ("street/train/*.png", "street/trainannot/{name}"),
    "256x256": ("abdomen-mr/train/images/*.png", "abdomen-mr/train/masks/{name}"),
}


@dataclass(frozen=True)
class Record:
    """An image's name."""

    id: str


@dataclass
class Data:
    """Files, and what is in them: the data set that the stream reads from memory."""

    files: list[tuple[Path, Path]]
    gray: bool
    source: str
    pairs: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.records = [Record(image.name) for image, _ in self.files]
        self.pairs = [self.read(index) for index in range(len(self.files))]

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 [H, W, C] and mask uint8 [H, W], decoded as one does by hand."""
        image, mask = (str(path) for path in self.files[index])
        if self.gray:
            return cv2.imread(image, cv2.IMREAD_GRAYSCALE)[..., None], cv2.imread(mask, cv2.IMREAD_GRAYSCALE)
        return cv2.cvtColor(cv2.imread(image), cv2.COLOR_BGR2RGB), cv2.imread(mask, cv2.IMREAD_GRAYSCALE)

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask number `index`, from memory."""
        return self.pairs[index]


class Plain(torch.utils.data.Dataset[Any]):
    """What a careful user writes by hand: a Compose in __getitem__."""

    def __init__(self, data: Data, *, files: bool, normalised: bool) -> None:
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
        import albumentations as A

        self.count, self.read = len(data.pairs), data.read if files else data.pair
        mean, std = ((0.5,), (0.25,)) if data.gray else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        last = [A.Normalize(mean, std)] if normalised else []
        self.compose = A.Compose(
            [
                A.RandomScale(scale_limit=0.5, p=1),
                A.HorizontalFlip(p=0.5),
                A.PadIfNeeded(WINDOW, WINDOW, fill_mask=255),
                A.RandomCrop(WINDOW, WINDOW),
                A.Rotate(limit=15, fill_mask=255, border_mode=cv2.BORDER_CONSTANT, p=1),
                A.RandomBrightnessContrast(0.2, 0.2, p=1),
                *last,
                A.ToTensorV2(),
            ]
        )

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self.read(index % self.count)
        changed = self.compose(image=image, mask=mask)
        return changed["image"], changed["mask"]


def plain(data: Data, workers: int, **how: bool) -> Iterator[int]:
    """Batch sizes of a DataLoader over a Compose, for ever."""
    settings: dict[str, Any] = {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
    loader = torch.utils.data.DataLoader(Plain(data, **how), batch_size=BATCH, num_workers=workers, **settings)
    yield from (len(images) for images, _ in loader)


def ours(data: Data, workers: int, *, threads: bool | None = None, transforms: bool = True) -> Iterator[int]:
    """Batch sizes of the training stream, for ever."""
    window = (WINDOW, WINDOW)
    longest = max(data.pairs[0][1].shape)
    changes: list[Transform] = [
        MultiScale(longest, (0.5, 1.5), window),
        Flip(0.5, 0.0, window),
        Rotate((-15, 15), 1.0, window),
        BrightnessContrast(0.2, 0.2, 1.0, window),
    ]
    pipeline = Pipeline(changes if transforms else [])
    indices = range(len(data.pairs))
    stream = TrainingStream(data, indices, pipeline, batch_size=BATCH, seed=0, workers=workers, threads=threads)
    try:
        for epoch in range(10**9):
            yield from (len(batch) for batch in stream.epoch(epoch))
    finally:
        stream.close()


def decoding(data: Data) -> Iterator[int]:
    """Batch sizes of decoding alone, in this process."""
    while True:
        for index in range(len(data.files)):
            data.read(index)
            yield 1


def copying(data: Data) -> Iterator[int]:
    """Batch sizes of copying windows into batches, in this process: what no augmentation at all would cost."""
    images = np.empty((BATCH, WINDOW, WINDOW, data.pairs[0][0].shape[2]), np.uint8)
    masks = np.empty((BATCH, WINDOW, WINDOW), np.uint8)
    while True:
        for index in range(BATCH):
            image, mask = data.pair(index % len(data.pairs))
            images[index], masks[index] = image[:WINDOW, :WINDOW], mask[:WINDOW, :WINDOW]
        yield BATCH


def contenders(data: Data, workers: int) -> dict[str, Callable[[], Iterator[int]]]:
    """Everything that is measured with so many workers."""
    found: dict[str, Callable[[], Iterator[int]]] = {
        "segengine": lambda: ours(data, workers),
        "plain, from files": lambda: plain(data, workers, files=True, normalised=True),
        "plain, from memory": lambda: plain(data, workers, files=False, normalised=True),
        "plain, from memory, uint8": lambda: plain(data, workers, files=False, normalised=False),
    }
    if workers:
        found["segengine, threads"] = lambda: ours(data, workers, threads=True)
        found["segengine, processes"] = lambda: ours(data, workers, threads=False)
    found["limit: loading without augmentation"] = lambda: ours(data, workers, transforms=False)
    if not workers:
        found["limit: decoding the files"] = lambda: decoding(data)
        found["limit: copying windows"] = lambda: copying(data)
    return found


def images_per_second(batches: Iterator[int], seconds: float) -> float:
    """Images a second once what was prepared ahead is used up."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds / 3:
        next(batches)
    seen, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        seen += next(batches)
    speed = seen / (time.perf_counter() - begin)
    batches.close()  # type: ignore[attr-defined]
    return speed


def found_data(size: str, folder: Path) -> Data:
    """Real data of this size where there is some, synthetic data in `folder` elsewhere."""
    images, masks = REAL[size]
    sets = os.environ.get("SEGENGINE_DATASETS")
    if sets and (paths := sorted(Path(sets).glob(images))[:IMAGES]):
        return Data(
            [(p, Path(sets) / masks.format(name=p.name)) for p in paths], size == "256x256", images.split("/")[0]
        )
    rng = np.random.default_rng(0)
    width, height = map(int, size.split("x"))
    kind, channels = ("jpg", (3,)) if size == "480x360" else ("png", ())
    files = []
    for number in range(IMAGES):
        image = rng.integers(0, 256, (height // 10, width // 10, *channels), dtype=np.uint8)
        mask = rng.integers(0, 11, (height // 20, width // 20), dtype=np.uint8)
        files.append((folder / f"{size}-{number}.{kind}", folder / f"{size}-{number}-mask.png"))
        cv2.imwrite(str(files[-1][0]), cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC))
        cv2.imwrite(str(files[-1][1]), cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST))
    return Data(files, not channels, f"synthetic {kind}")


def measured(data: Data, workers: int, seconds: float, repeats: int) -> dict[str, float]:
    """Images a second of each contender, the best of `repeats` turns."""
    speeds: dict[str, float] = {}
    for _ in range(repeats):
        for name, make in contenders(data, workers).items():
            speeds[name] = max(speeds.get(name, 0.0), images_per_second(make(), seconds))
    return speeds


def say(line: str) -> None:
    """One line of the table."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=list(REAL), choices=REAL, help="sizes of images")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each is measured")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each, in turns; the best is shown")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "This DataLoader will create")
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    rows = []
    say("| images | workers | what | images/s | segengine is |")
    say("| --- | ---: | --- | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            data = found_data(size, Path(folder))
            for workers in arguments.workers:
                speeds = measured(data, workers, arguments.seconds, arguments.repeats)
                for name, speed in speeds.items():
                    ratio = speeds["segengine"] / speed
                    say(f"| {size} {data.source} | {workers} | {name} | {speed:.0f} | {ratio:.2f} times |")
                    rows.append(
                        {"size": size, "source": data.source, "workers": workers, "what": name,
                         "images_per_second": speed, "segengine_times": ratio}
                    )  # fmt: skip
    if arguments.json:
        facts = {"batch_size": BATCH, "window": WINDOW, "cpus": os.cpu_count(), "opencv": cv2.__version__}
        arguments.json.write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
