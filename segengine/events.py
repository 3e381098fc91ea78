"""Events of training and of runs: frozen facts that listeners receive, with no way back to the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Counts = Mapping[int, NDArray[np.int64]]
"""Confusion counts int64 [K, K] (rows truth, columns predicted) by image index."""


@dataclass(frozen=True)
class StepDone:
    """One optimizer step was made. `step` counts from 1 over the whole run, `loss` is the mean over its valid pixels.

    `share` (0..1) of the budget is used. `gradient_norm` is the L2 norm of the whole gradient before clipping, infinite or NaN
    where a gradient scaler (fp16) skipped the step.
    """

    epoch: int
    step: int
    steps_per_epoch: int
    loss: float
    learning_rate: float
    images: int
    share: float = 0.0
    gradient_norm: float = float("nan")


@dataclass(frozen=True)
class EpochDone:
    """An epoch (from 1) is over; `counts` are the validation images' where it was evaluated.

    `gradient_norm` and `largest_gradient_norm` are the mean and the maximum over its steps, None without a finite one.
    """

    epoch: int
    step: int
    train_loss: float
    learning_rate: float
    seconds: float
    images_per_second: float
    counts: Counts | None
    score: float | None
    best: bool
    gradient_norm: float | None = None
    largest_gradient_norm: float | None = None


@dataclass(frozen=True)
class Saved:
    """A checkpoint has been written to disk."""

    kind: Literal["last", "best"]
    epoch: int
    step: int


@dataclass(frozen=True)
class Ended:
    """Training is over: the budget is used, stopped early, or interrupted (resumable)."""

    reason: Literal["finished", "stopped early", "interrupted"]
    epoch: int
    step: int


Event = StepDone | EpochDone | Saved | Ended

Status = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True)
class Doing:
    """Something that takes a while: `done` of `total` items; `total` 0 where it isn't known."""

    what: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Note:
    """Something the user should hear once."""

    text: str


@dataclass(frozen=True)
class RunStarted:
    """A run begins or goes on. `resumed_step` is 0 for a fresh start. `epochs` is None where `minutes` are the budget."""

    folder: Path
    facts: Mapping[str, str]
    epochs: int | None
    steps_per_epoch: int
    resumed_step: int
    minutes: float | None = None

    @property
    def budget(self) -> str:
        """`50 epochs`, or `20 minutes in epochs`."""
        return f"{self.epochs} epochs" if self.epochs is not None else f"{self.minutes:g} minutes in epochs"


@dataclass(frozen=True)
class EpochScored:
    """One line of metrics.jsonl."""

    row: Mapping[str, Any]
    best: bool


@dataclass(frozen=True)
class RunEnded:
    """A run is over for now. `row` has the scores of the chosen checkpoint on `split`, as metrics.jsonl has them."""

    folder: Path
    status: Status
    message: str
    split: str = ""
    row: Mapping[str, Any] | None = None


Listener = Callable[[Any], None]
"""Receives each event of a run. A listener that raises is reported once and dropped."""
