"""What training tells its listeners: frozen facts, no way back to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Counts = Mapping[int, NDArray[np.int64]]
"""Confusion counts int64 [K, K] (rows truth, columns predicted) by image index."""


@dataclass(frozen=True)
class StepDone:
    """One optimizer step was made. `step` counts from 1 over the whole run, `loss` is the mean over its valid pixels.

    `share` (0..1) of the budget is used.
    """

    epoch: int
    step: int
    steps_per_epoch: int
    loss: float
    learning_rate: float
    images: int
    share: float = 0.0


@dataclass(frozen=True)
class EpochDone:
    """An epoch (from 1) is over; `counts` are the validation images' where it was evaluated."""

    epoch: int
    step: int
    train_loss: float
    learning_rate: float
    seconds: float
    images_per_second: float
    counts: Counts | None
    score: float | None
    best: bool


@dataclass(frozen=True)
class Saved:
    """A checkpoint stands on the disk."""

    kind: Literal["last", "best"]
    epoch: int
    step: int


@dataclass(frozen=True)
class Ended:
    """Training is over: the budget is used, stopped early, or interrupted (resumable)."""

    reason: Literal["finished", "stopped early", "interrupted"]
    epoch: int
    step: int


@dataclass(frozen=True)
class MicroBatchHalved:
    """Memory ran out: from this step on at most `images` images go through the network at once; a step's images stay."""

    step: int
    images: int


Event = StepDone | EpochDone | Saved | Ended | MicroBatchHalved
