"""Runs in each of several processes of a test."""

from __future__ import annotations

import copy
import os
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segengine.components.optimizers import AdamW
from segengine.components.schedules import Cosine
from segengine.engine import checkpoint
from segengine.engine.checkpoint import Trainable, weights_hash
from segengine.engine.distributed import World, open_world
from segengine.engine.dry_run import DryRun, fitting_micro_batch
from segengine.engine.evaluation import evaluate_and_measure
from segengine.engine.fit import fit
from segengine.engine.non_finite import non_finite_tensors
from segengine.engine.precision import pick_precision
from segengine.engine.prediction import Predictor
from segengine.engine.wrap_model import shared
from segengine.errors import RunError
from segengine.events import EpochDone, StepDone
from segengine.metrics.calibration import calibration_error
from segengine.metrics.surface import hausdorff
from segengine.metrics.values import Measurement
from tests.engine.test_non_finite import FullLater, RootAtZero
from tests.engine.tiny import CPU, Bright, Problem, network, problem


class Plain(nn.Module):
    """Without batch norm, whose statistics are each process's own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(images.float() / 255)
        return result


def train(folder: Path, world: World, model: nn.Module | None = None, *, tried: bool = False) -> dict[str, Any]:
    """Train the tiny problem; what this process saw and ended with."""
    torch.set_num_threads(1)
    model = model or Plain()
    p = problem(folder, world=world, model=model, batch_size=6, epochs=3)
    micro_batch = fitting_micro_batch(dry_run(p, world), 6 // world.size) if tried else None
    step = type(p.step)(**{**p.step.__dict__, "network": shared(model, world), "micro_batch": micro_batch})
    seen: list[list[int]] = []
    epoch = p.stream.epoch
    p.stream.epoch = lambda e, first=0: (seen.append(b.indices.tolist()) or b for b in epoch(e, first))  # type: ignore[method-assign, func-returns-value]
    events = list(fit(step, p.stream, p.settings, p.paths, evaluator=p.evaluator))
    last = [event for event in events if isinstance(event, EpochDone)][-1]
    assert last.counts is not None
    return {
        "losses": [event.loss for event in events if isinstance(event, StepDone)],
        "images": [event.images for event in events if isinstance(event, StepDone)],
        "counts": {index: table.tolist() for index, table in last.counts.items()},
        "seen": seen,
        "hash": weights_hash(model),
        "micro_batch": micro_batch,
        "saved": checkpoint.load(p.paths.last)["model"] if world.main else None,
        "weights": [parameter.detach().tolist() for parameter in model.parameters()],
    }


def dry_run(p: Problem, world: World) -> DryRun:
    """Of a throwaway copy, in this process without the others."""
    model = copy.deepcopy(p.step.trainable.model)
    alone = World(world.device)
    optimizer = AdamW().build(parameters=[{"params": list(model.parameters())}])
    trainable = Trainable(model, optimizer, Cosine().build(optimizer=optimizer, total_steps=1))
    step = type(p.step)(**{**p.step.__dict__, "network": model, "trainable": trainable, "world": alone})
    predictor = Predictor(model, CPU, pick_precision("auto", CPU))
    return DryRun.of(
        world, step, predictor, channels=1, size=(12, 12), evaluated_size=(20, 24), num_classes=2
    )  # fmt: skip


def break_down(folder: Path, world: World) -> str:
    """Train with a loss whose gradient is NaN at one image, of the second process; what each process says."""
    p = problem(
        folder, world=world, model=Plain(), data=FullLater(6), loss=RootAtZero(), batch_size=2, crop=None, save_steps=1
    )  # fmt: skip
    model = p.step.trainable.model
    step = type(p.step)(**{**p.step.__dict__, "network": shared(model, world)})
    try:
        list(fit(step, p.stream, p.settings, p.paths, evaluator=p.evaluator))
    except RunError as error:
        finite = not non_finite_tensors(model.state_dict())
        return f"{error}; {'finite' if finite else 'not finite'} weights"
    return "no error"


def measure(world: World) -> str:
    """Counts and metrics of seven images by a network that never trained; as text, in which NaN equals NaN."""
    measurement = Measurement(
        {"hd95": partial(hausdorff, percentile=95), "ece": partial(calibration_error, bins=15)},
        {"hd95": True, "ece": False}, probabilities=True, num_classes=2, classes=(0, 1), spacing=(1.0, 2.0),
    )  # fmt: skip
    predictor = Predictor(Plain(), CPU, pick_precision("auto", CPU))
    counts, measured = evaluate_and_measure(predictor, Bright(), range(7), 2, world, measurement=measurement)
    return repr(({index: table.tolist() for index, table in counts.items()}, measured))


class Hungry(Plain):
    """Without memory for more than `most` images in the second process."""

    def __init__(self, rank: int, most: int) -> None:
        super().__init__()
        self.rank, self.most = rank, most

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and self.rank == 1 and len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().forward(images)


def process(rank: int, size: int, port: int, folder: Path) -> None:
    """One of `size` processes; leaves its result in the folder."""
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    with open_world("cpu") as world:
        result = {
            "plenty": train(folder / "plenty", world),
            "measured": measure(world),
            "scarce": train(folder / "scarce", world, Hungry(rank, 1), tried=True),
            "broken": break_down(folder / "broken", world) if size == 2 else "",
            "normalised": train(folder / "normalised", world, network()),
        }
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(result))
