"""Events of training and of runs, passed to listeners as frozen dataclasses without a reference to the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segengine.errors import counted

Counts = Mapping[int, NDArray[np.int64]]
"""Confusion counts int64 [K, K] (rows truth, columns predicted) by image index."""


@dataclass(frozen=True)
class StepDone:
    """An optimizer step is done. `step` counts from 1 over the whole run, `loss` is the mean over the step's valid pixels.

    `share` is the fraction of the budget used, 0..1. `gradient_norm` is the L2 norm of the whole gradient before clipping,
    infinite or NaN if a gradient scaler (fp16) skipped the step.
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
    """An epoch (from 1) is done; `counts` are those of the validation images, None without an evaluation.

    `gradient_norm` and `largest_gradient_norm` are the mean and the maximum over its steps, None if no norm is finite.
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
    """Training ended: budget used up, early stopping, or interrupted (resumable)."""

    reason: Literal["finished", "stopped early", "interrupted"]
    epoch: int
    step: int


Event = StepDone | EpochDone | Saved | Ended

Status = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True)
class Doing:
    """Progress of a long operation: `done` of `total` items; `total` is 0 if unknown."""

    what: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Note:
    """A message to the user."""

    text: str


@dataclass(frozen=True)
class RunStarted:
    """A run starts or resumes. `resumed_step` is 0 for a new run. `epochs` is None if the budget is `minutes`."""

    folder: Path
    facts: Mapping[str, str]
    epochs: int | None
    steps_per_epoch: int
    resumed_step: int
    minutes: float | None = None

    @property
    def budget(self) -> str:
        """`50 epochs`, or `20 minutes in epochs`."""
        return counted(self.epochs, "epoch") if self.epochs is not None else f"{self.minutes:g} minutes in epochs"


@dataclass(frozen=True)
class EpochScored:
    """An epoch's row of metrics.jsonl."""

    row: Mapping[str, Any]
    best: bool


@dataclass(frozen=True)
class RunEnded:
    """A run finished, failed or was interrupted. `row` has the scores of the best checkpoint on `split`, as in metrics.jsonl."""

    folder: Path
    status: Status
    message: str
    split: str = ""
    row: Mapping[str, Any] | None = None


Listener = Callable[[Any], None]
"""Called with each event of a run. A listener that raises is reported once and removed."""
