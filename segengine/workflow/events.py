"""What a run tells its listeners besides the loop's own events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
"""Takes each event of a run: the loop's (segengine.engine.events) and those above. One that raises is dropped."""
