"""Milliseconds that `fit` and a run's listeners add to a step, beside the same loop written by hand.

    python tests/benchmarks/overhead.py [--steps 1000] [--json FILE]

A tiny network on one CPU thread, AdamW, cosine schedule, the same batch from memory. Both loops take turns step by step, and
the fastest step of each is shown, which other programs move least. The bare loop reads its loss each step, as one that shows
a progress bar does.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from segengine.cli.console import ConsoleListener
from segengine.components.optimizers import AdamW
from segengine.components.schedules import Cosine
from segengine.data.batches.batch import Batch
from segengine.engine.checkpoint import CheckpointPaths, Trainable
from segengine.engine.distributed import World
from segengine.engine.fit import FitSettings, fit
from segengine.engine.precision import pick_precision
from segengine.engine.step import TrainingStep
from segengine.events import StepDone
from segengine.training.listeners import Listeners
from segengine.training.log import log

CPU = torch.device("cpu")
BATCH, SIDE, CLASSES = 8, 64, 3


class Memory:
    """Batches made beforehand."""

    def __init__(self, steps: int) -> None:
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(256, (BATCH, SIDE, SIDE, 3), dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2)
        masks = torch.randint(CLASSES, (BATCH, SIDE, SIDE), dtype=torch.uint8, generator=generator)
        self.batch = Batch(pixels, masks, torch.arange(BATCH))
        self.batch_size, self.steps_per_epoch = BATCH, steps

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The same batch again and again."""
        return iter([self.batch] * (self.steps_per_epoch - first_step))


def trainable(steps: int) -> Trainable:
    """The same network, optimizer and schedule each time."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, CLASSES, 3, padding=1)]
    model = nn.Sequential(_Float(), *layers).to(memory_format=torch.channels_last)
    optimizer = AdamW().build(parameters=[{"params": list(model.parameters())}])
    return Trainable(model, optimizer, Cosine().build(optimizer=optimizer, total_steps=steps))


class _Float(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float() / 255


class Loss(nn.Module):
    """Mean cross-entropy over valid pixels."""

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits, target, ignore_index=255)


def bare(steps: int) -> Iterator[None]:
    """The loop written by hand, a step each time it is asked."""
    parts, memory, loss = trainable(steps), Memory(steps), Loss()
    parts.model.train()
    total = 0.0
    for batch in memory.epoch(0):
        value = loss(parts.model(batch.images), batch.masks.long())
        value.backward()
        parts.optimizer.step()
        parts.optimizer.zero_grad(set_to_none=True)
        parts.schedule.step()
        total += value.item()
        yield


def ours(steps: int, folder: Path) -> Iterator[None]:
    """`fit` with the listeners of a run, a step each time it is asked."""
    parts, memory = trainable(steps), Memory(steps)
    step = TrainingStep(parts, parts.model, Loss(), pick_precision("fp32", CPU), World(CPU), None, str)
    with (folder / "console.txt").open("w") as file:
        listeners = Listeners(partial(log, folder / "log.txt"), ConsoleListener(Console(file=file)))
        paths = CheckpointPaths(folder / "last.pt", folder / "best.pt", folder / "previous.pt")
        for event in fit(step, memory, FitSettings(epochs=1), paths):
            listeners(event)
            if isinstance(event, StepDone):
                yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {"bare loop": [], "segengine": []}
    with tempfile.TemporaryDirectory() as folder:
        loops = dict(zip(seconds, (bare(arguments.steps), ours(arguments.steps, Path(folder))), strict=True))
        for _ in range(arguments.steps):
            for name, loop in loops.items():
                began = time.perf_counter()
                next(loop)
                seconds[name].append(time.perf_counter() - began)
        for loop in loops.values():
            loop.close()  # type: ignore[attr-defined]
    best = {name: 1000 * min(times) for name, times in seconds.items()}
    added = best["segengine"] - best["bare loop"]
    share = added / best["bare loop"]
    sys.stdout.write("| loop | ms a step |\n| --- | ---: |\n")
    sys.stdout.writelines(f"| {name} | {value:.3f} |\n" for name, value in best.items())
    sys.stdout.write(f"\nadded: {added:.3f} ms a step, {share:.1%}\n")
    if arguments.json:
        figures = {"milliseconds_a_step": best, "added_milliseconds": added, "added_share": share}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
