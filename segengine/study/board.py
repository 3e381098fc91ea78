"""Status of each run of a study for progress displays: state, fraction done, score, remaining time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from segengine.events import Doing, EpochScored, RunEnded, RunStarted, StepDone
from segengine.metrics.names import DEFAULT_METRIC
from segengine.study.plan import Outcome, RunPlan

OVER = ("finished", "failed", "interrupted", "not started")


@dataclass
class Row:
    """Status of one run. `share` is the fraction of training done, 0..1; `score` a mean Dice (of the final split once finished)."""

    plan: RunPlan
    state: str = "waiting"
    share: float = 0.0
    epoch: int = 0
    epochs: int | None = None
    loss: float | None = None
    score: float | None = None
    message: str = ""
    began: float | None = None
    seconds: float = 0.0
    first: tuple[float, float] | None = None

    @property
    def running(self) -> bool:
        """Whether its process is active."""
        return self.state not in ("waiting", *OVER)

    def seconds_left(self, now: float) -> float | None:
        """Remaining seconds, extrapolated from the training speed since the start or resumption; None if unknown."""
        if self.first is None or self.share <= self.first[1]:
            return None
        return (1 - self.share) * (now - self.first[0]) / (self.share - self.first[1])


@dataclass
class Board:
    """Status of all runs, in order. `clock` returns seconds."""

    plans: Sequence[RunPlan]
    clock: Callable[[], float] = time.monotonic
    rows: dict[str, Row] = field(init=False)
    most_running: int = 1

    def __post_init__(self) -> None:
        self.rows = {plan.name: Row(plan) for plan in self.plans}

    def update(self, plan: RunPlan, event: Any) -> Row:
        """Update a run's row with an event, and return the row."""
        row, now = self.rows[plan.name], self.clock()
        row.began = row.began or now
        match event:
            case Doing() if row.state not in ("training", "scoring"):
                row.state = event.what
            case Doing() if row.share >= 1:
                row.state = "scoring"
            case RunStarted():
                row.state, row.epochs = "training", event.epochs
            case StepDone():
                row.state, row.epoch, row.share, row.loss = "training", event.epoch, event.share, event.loss
                row.first = row.first or (now, event.share)
            case EpochScored():
                row.epoch = event.row["epoch"]
                found = event.row.get("validation")
                row.score = found["mean"][DEFAULT_METRIC] if found and (event.best or row.score is None) else row.score
            case RunEnded() if event.row is not None:
                row.score = event.row["mean"][DEFAULT_METRIC]
        self.most_running = max(self.most_running, sum(other.running for other in self.rows.values()))
        return row

    def end(self, outcome: Outcome) -> Row:
        """Update a run's row with its outcome."""
        row = self.rows[outcome.plan.name]
        row.state, row.message = outcome.status, outcome.message
        row.seconds = self.clock() - row.began if row.began is not None else 0.0
        scores = (outcome.run or {}).get("scores") or {}
        row.score = next((split["mean"][DEFAULT_METRIC] for split in scores.values()), row.score)
        return row

    def count(self, state: str) -> int:
        """Number of runs in a state."""
        return sum(row.state == state for row in self.rows.values())

    def seconds_left(self) -> TimeLeft | None:
        """Remaining time of the study at the observed number of concurrent runs; None until a run allows an estimate.

        A run without progress is expected to take as long as the runs of its own variant did on average; runs of variants
        that have not started yet are left out, so the time is a lower bound then.
        """
        now, rows = self.clock(), list(self.rows.values())
        lefts = [left for row in rows if row.running and (left := row.seconds_left(now)) is not None]
        durations = self._durations(now)
        if not durations:
            return None
        unknown = [row for row in rows if row.state == "waiting" or (row.running and row.seconds_left(now) is None)]
        expected = [fmean(durations[row.plan.variant]) for row in unknown if row.plan.variant in durations]
        rest = sum(lefts) + sum(expected)
        return TimeLeft(max([rest / self.most_running, *lefts]), complete=len(expected) == len(unknown))

    def _durations(self, now: float) -> dict[str, list[float]]:
        """Seconds of each variant's runs, measured if finished and extrapolated if running."""
        durations: dict[str, list[float]] = {}
        for row in self.rows.values():
            left = row.seconds_left(now) if row.running else None
            if row.began is not None and (row.state == "finished" or left is not None):
                seconds = row.seconds if left is None else now - row.began + left
                durations.setdefault(row.plan.variant, []).append(seconds)
        return durations


@dataclass(frozen=True)
class TimeLeft:
    """Remaining `seconds`; a lower bound unless `complete`."""

    seconds: float
    complete: bool

    def __str__(self) -> str:
        return f"{'about' if self.complete else 'more than'} {duration_text(self.seconds)} left"


def duration_text(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
