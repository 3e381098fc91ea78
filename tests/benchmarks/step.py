"""Images a second of training by streams and from memory: the plain loop, segengine's, and the bare step as the limit.

The limit is the same network as segengine trains it (channels last, on a GPU compiled and in bf16, fused AdamW), a batch
that lies on the device again and again, and nothing else: no stream, no listener, no look at the loss.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segengine.building.build import build_segmenter, parameter_groups
from segengine.components.optimizers import AdamW
from segengine.components.schedules import Cosine
from segengine.data.augment.geometric import Flip, MultiScale, Rotate
from segengine.data.augment.pipeline import Pipeline
from segengine.data.augment.pixels import BrightnessContrast
from segengine.data.batches.batch import Batch
from segengine.data.batches.device_store import stored
from segengine.data.batches.device_stream import DeviceStream
from segengine.data.batches.streams import TrainingStream
from segengine.engine.checkpoint import CheckpointPaths, Trainable
from segengine.engine.distributed import World, synchronize
from segengine.engine.fit import FitSettings, fit
from segengine.engine.non_finite import queue_depth
from segengine.engine.precision import pick_precision
from segengine.engine.step import TrainingStep
from segengine.engine.wrap_model import placed
from segengine.events import StepDone
from segengine.specs.load import load_experiment
from tests.benchmarks.input_path import Data
from tests.benchmarks.material import CLASSES, WIDTH, Material, experiment, material
from tests.benchmarks.plain import Loop, loader
from tests.benchmarks.table import OURS, Row, by_turns, rows_of

LONG = 10**6  # steps that nobody makes


class Loss(nn.Module):
    """Mean cross-entropy over valid pixels."""

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits, target, ignore_index=255)


class Repeated:
    """A stream that gives one batch again and again."""

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self.batch, self.batch_size, self.steps_per_epoch = batch.to(device), len(batch), LONG

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """As a training stream."""
        return iter(cycle([self.batch]))

    def close(self) -> None:
        """Nothing to end."""


class Case:
    """A model, a size and the images, from which each contender makes steps."""

    def __init__(
        self, model: str, data: Material, device: torch.device, *, window: int, batch: int, workers: int
    ) -> None:
        self.model, self.window, self.batch, self.workers, self.device = model, window, batch, workers, device
        self.material = data
        self.memory = Data(data.pairs("train"), gray=False, source=data.source)
        self.precision = pick_precision("auto", device)

    def stream(self) -> TrainingStream | DeviceStream:
        """As a run has it: on a GPU made there, on a CPU by the training process itself."""
        size = (self.window, self.window)
        changes = [MultiScale(WIDTH, (0.5, 1.5), size), Flip(0.5, 0.0, size), Rotate((-15, 15), 1.0, size)]
        pipeline = Pipeline([*changes, BrightnessContrast(0.2, 0.2, 1.0, size)])
        indices = range(len(self.memory.records))
        order = TrainingStream(self.memory, indices, pipeline, batch_size=self.batch, seed=0)
        if self.device.type == "cpu":
            return order
        return DeviceStream(order, self.memory, pipeline, stored(self.memory, indices, self.device))

    def parts(self) -> tuple[Trainable, nn.Module]:
        """What is trained, and what runs forward."""
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True
        with tempfile.TemporaryDirectory() as folder:
            path = experiment(
                Path(folder), self.material.root, model=self.model, window=self.window, batch=self.batch, epochs=1, workers=0
            )  # fmt: skip
            chosen = next(iter(load_experiment(path).variants.values()))
        model = placed(build_segmenter(chosen, channels=3, num_classes=CLASSES), self.device).train()
        groups, gpu = parameter_groups(model, chosen.training), self.device.type == "cuda"
        optimizer = AdamW().build(parameters=groups, fused=gpu)
        parts = Trainable(model, optimizer, Cosine().build(optimizer=optimizer, total_steps=LONG), None)
        return parts, torch.compile(model, dynamic=False) if gpu else model

    def plain(self, *, from_memory: bool) -> Iterator[None]:
        """The loop by hand, a step each time it is asked."""
        loop, pin = Loop(self.model, self.device), self.device.type == "cuda"
        pairs = self.material.pairs("train")
        repeat = 1 if from_memory else 200  # so that no epoch ends within the time
        batches: Any = loader(
            pairs, self.window, self.batch, 0 if from_memory else self.workers, pin=pin, repeat=repeat
        )
        if from_memory:
            images, masks = next(iter(batches))
            batches = cycle([(images.to(self.device), masks.to(self.device))])
        for images, masks in batches:
            loop.step(images, masks).item()
            yield

    def ours(self, *, from_memory: bool) -> Iterator[None]:
        """`fit`, a step each time it is asked."""
        parts, network = self.parts()
        step = TrainingStep(
            parts, network, Loss().to(self.device), self.precision, World(self.device), None, str,
            queue_depth=queue_depth(parts.optimizer, self.device),
        )  # fmt: skip
        made = self.stream()
        stream: Any = Repeated(next(made.epoch(0)), self.device) if from_memory else made
        with tempfile.TemporaryDirectory() as folder, closing(made):
            paths = CheckpointPaths(*(Path(folder) / f"{name}.pt" for name in ("last", "best", "previous")))
            for event in fit(step, stream, FitSettings(epochs=LONG, save_epochs=None), paths):
                if isinstance(event, StepDone):
                    yield

    def limit(self) -> Iterator[None]:
        """The bare step."""
        parts, network = self.parts()
        loss = Loss()
        with closing(self.stream()) as stream:
            batch = next(stream.epoch(0)).to(self.device)
        images = batch.images.contiguous(memory_format=torch.channels_last)
        while True:
            with self.precision.autocast():
                logits = network(images)
            loss(logits.float(), batch.masks.long()).backward()
            parts.optimizer.step()
            parts.optimizer.zero_grad(set_to_none=True)
            parts.schedule.step()
            yield

    def images_per_second(self, make: Callable[[], Iterator[None]], warm: int, steps: int) -> float:
        """Of `steps`, once `warm` others are over."""
        loop = make()
        for _ in islice(loop, warm):
            pass
        synchronize(self.device)
        began = time.perf_counter()
        for _ in islice(loop, steps):
            pass
        synchronize(self.device)
        speed = steps * self.batch / (time.perf_counter() - began)
        loop.close()  # type: ignore[attr-defined]
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return speed


def measured(
    model: str, *, device: torch.device, window: int, batch: int, workers: int, images: int, warm: int, steps: int, rounds: int
) -> list[Row]:  # fmt: skip
    """Images a second of each contender, the best of `rounds`."""
    with tempfile.TemporaryDirectory() as folder:
        case = Case(
            model, material(Path(folder) / "data", images, 1), device, window=window, batch=batch, workers=workers
        )
        makers: dict[str, Callable[[], Iterator[None]]] = {
            f"plain loop, {workers} workers": lambda: case.plain(from_memory=False),
            "plain loop, a batch from memory": lambda: case.plain(from_memory=True),
            OURS: lambda: case.ours(from_memory=False),
            "segengine, a batch from memory": lambda: case.ours(from_memory=True),
            "limit: the bare step, from memory": case.limit,
        }
        speeds = by_turns(
            {who: (lambda make=make: case.images_per_second(make, warm, steps)) for who, make in makers.items()},  # type: ignore[misc]
            rounds, max,
        )  # fmt: skip
    gpu = device.type == "cuda"
    first, last = next(iter(makers)), list(makers)[-1]
    targets = {first: (">=", 2.0), last: (">=", 0.9)} if gpu else {}
    name = f"{model} U-Net, {batch} at {window}, {'bf16, compiled' if gpu else 'float32'}"
    return rows_of("step", name, "images/s", speeds, targets)
