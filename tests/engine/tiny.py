"""A training problem small enough for a test: which pixels are bright?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segengine.components.optimizers import AdamW
from segengine.components.schedules import Cosine
from segengine.data.augment.geometric import Crop
from segengine.data.augment.pipeline import Pipeline
from segengine.data.batches.streams import TrainingStream
from segengine.engine.checkpoint import CheckpointPaths, Progress, Trainable
from segengine.engine.distributed import World
from segengine.engine.evaluation import evaluate
from segengine.engine.fit import Evaluator, FitSettings
from segengine.engine.precision import pick_precision
from segengine.engine.prediction import Predictor
from segengine.engine.step import TrainingStep
from segengine.engine.time_budget import TICKS, TimedSchedule
from segengine.engine.wrap_model import moving_average
from segengine.events import Counts

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Named:
    id: str


class Bright:
    """Images uint8 [h, w, 1] whose bright pixels are class 1; one corner is ignored."""

    def __init__(self, images: int = 7, size: tuple[int, int] = (20, 24)) -> None:
        rng = np.random.default_rng(0)
        self.images = [rng.integers(0, 256, (*size, 1), dtype=np.uint8) for _ in range(images)]
        self.records = [Named(f"image{i}") for i in range(images)]
        self.sizes = np.tile(np.array(size, dtype=np.int64), (images, 1))

    def pair(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image = self.images[index]
        mask = (image[:, :, 0] > 127).astype(np.uint8)
        mask[:3, :3] = 255
        return image, mask


def network() -> nn.Module:
    """A net with everything that a checkpoint must keep: batch norm's buffers, dropout's generator."""
    torch.manual_seed(3)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.2), nn.Conv2d(4, 2, 1)
            )

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.layers(images.float() / 255)
            return result

    return Net()


class CrossEntropy(nn.Module):
    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        total = nn.functional.cross_entropy(logits, target, ignore_index=255, reduction="sum")
        return total / (target != 255).sum().clamp(min=1)


@dataclass
class Problem:
    """All that `fit` takes."""

    step: TrainingStep
    stream: TrainingStream
    settings: FitSettings
    paths: CheckpointPaths
    evaluator: Evaluator


def problem(
    folder: Path, *, data: Bright | None = None, world: World | None = None, workers: int = 0, accumulate: int = 1,
    batch_size: int = 3, ema: float | None = None, score: Callable[[Counts], float] | None = None, seed: int = 0,
    loss: nn.Module | None = None, clip_norm: float | None = None, model: nn.Module | None = None, crop: int | None = 12,
    queue_depth: int = 0, micro_batch: int | None = None, scaler: torch.amp.GradScaler | None = None, fused: bool = False,
    **settings: object,
) -> Problem:  # fmt: skip
    data, world = data or Bright(), world or World(CPU)
    model = model or network()
    torch.manual_seed(seed)
    fit_settings = FitSettings(**{"epochs": 4, "accumulate": accumulate, **settings})
    pipeline = Pipeline([Crop((crop, crop))] if crop else [])
    stream = TrainingStream(
        data, range(len(data.records)), pipeline, batch_size=batch_size, seed=seed, rank=world.rank,
        world_size=world.size, workers=workers,
    )  # fmt: skip
    optimizer = AdamW(learning_rate=0.05).build(parameters=[{"params": list(model.parameters())}], fused=fused)
    steps = fit_settings.epochs and fit_settings.epochs * -(-stream.steps_per_epoch // accumulate)
    schedule = Cosine(warmup=0.1).build(optimizer=optimizer, total_steps=steps or TICKS)
    if steps is None:
        schedule = TimedSchedule(schedule)
    average = moving_average(model, ema) if ema is not None else None
    precision = pick_precision("auto", CPU)
    trainable = Trainable(model, optimizer, schedule, scaler, average)
    step = TrainingStep(
        trainable, model, loss or CrossEntropy(), precision, world, clip_norm, lambda i: data.records[i].id,
        micro_batch=micro_batch, queue_depth=queue_depth,
    )  # fmt: skip

    def count(evaluated: nn.Module) -> Counts:
        return evaluate(Predictor(evaluated, CPU, precision), data, range(len(data.records)), 2, world)

    def right(counts: Counts) -> float:
        total = sum(counts.values())
        return float(np.trace(total) / np.sum(total))

    return Problem(
        step,
        stream,
        fit_settings,
        CheckpointPaths(folder / "last.pt", folder / "best.pt", folder / "previous.pt"),
        Evaluator(count, score or right),
    )


__all__ = ["CPU", "Bright", "CrossEntropy", "Problem", "Progress", "network", "problem"]
