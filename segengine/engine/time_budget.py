"""A learning-rate schedule that follows the time used: training by minutes doesn't know its number of steps."""

from __future__ import annotations

from typing import Any

from torch.optim.lr_scheduler import LRScheduler

TICKS = 10_000
"""How many steps a schedule that follows time is built with; it stands at the tick of the share of the time used."""


class TimedSchedule(LRScheduler):
    """A schedule of `TICKS` steps that `advance` moves instead of optimizer steps; its state is that of `schedule`."""

    def __init__(self, schedule: LRScheduler) -> None:
        self.schedule = schedule  # all else is the schedule's: this one only decides when it moves

    def step(self, epoch: int | None = None) -> None:
        """An optimizer step was made: nothing, for only time counts."""

    def advance(self, share: float) -> None:
        """Move on to `share` (0..1) of the time; never back."""
        for _ in range(min(TICKS, int(share * TICKS)) - self.schedule.last_epoch):
            self.schedule.step()

    def get_last_lr(self) -> list[Any]:
        return self.schedule.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        return self.schedule.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.schedule.load_state_dict(state_dict)
