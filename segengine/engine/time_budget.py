"""Learning-rate schedule for a time budget, where the number of steps isn't known in advance."""

from __future__ import annotations

from typing import Any

from torch.optim.lr_scheduler import LRScheduler

TICKS = 10_000
"""Resolution of a time-based schedule: built for this many steps, advanced in proportion to the time used."""


class TimedSchedule(LRScheduler):
    """A schedule of `TICKS` steps advanced by time instead of optimizer steps; its state is that of `schedule`."""

    def __init__(self, schedule: LRScheduler) -> None:
        self.schedule = schedule  # state and rates are the schedule's; this class only decides when to advance

    def step(self, epoch: int | None = None) -> None:
        """Called after an optimizer step: no effect, since the schedule depends on time only."""

    def advance(self, share: float) -> None:
        """Advance to the fraction `share` (0..1) of the time budget; never backwards."""
        for _ in range(min(TICKS, int(share * TICKS)) - self.schedule.last_epoch):
            self.schedule.step()

    def get_last_lr(self) -> list[Any]:
        return self.schedule.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        return self.schedule.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.schedule.load_state_dict(state_dict)
