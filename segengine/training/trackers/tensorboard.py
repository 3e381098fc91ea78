"""TensorBoard listener: writes event files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segengine.events import EpochScored, RunEnded, RunStarted
from segengine.training.trackers.numbers import numbers


class TensorBoardListener:
    """Writes event files; on resuming, values after the last checkpoint are purged."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every
        self.writer: Any = None
        self.step = 0

    def __call__(self, event: Any) -> None:
        if isinstance(event, RunStarted):
            from torch.utils.tensorboard import SummaryWriter

            purge = event.resumed_step + 1 if event.resumed_step else None
            self.writer = SummaryWriter(str(self.folder), purge_step=purge)
            self.step = event.resumed_step
            facts = "\n".join(f"- {name}: {value}" for name, value in event.facts.items())
            self.writer.add_text("run", facts, self.step)
        if self.writer is None:
            return
        step, values = numbers(event, self.every)
        self.step = self.step if step is None else step
        for name, value in values.items():
            self.writer.add_scalar(name, value, self.step)
        if isinstance(event, EpochScored):
            self.writer.flush()
        if isinstance(event, RunEnded):
            self.writer.close()
            self.writer = None
