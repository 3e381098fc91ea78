"""The training loop: a plain generator of events. Callers log, draw and save nothing inside it but checkpoints."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

from torch import nn

from segengine.data.batches.batch import Batch
from segengine.engine import checkpoint
from segengine.engine.checkpoint import Progress, Trainable
from segengine.engine.distributed import synchronize
from segengine.engine.step import Made, Step
from segengine.engine.time_budget import TimedSchedule
from segengine.events import Counts, Ended, EpochDone, Event, MicroBatchHalved, Saved, StepDone


class Stream(Protocol):
    """Training batches by epoch, resumable at any step. `batch_size` counts the images of all processes."""

    @property
    def batch_size(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...
    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class FitSettings:
    """The budget and rhythm of training. The budget is either of `epochs` and `minutes`; the other is None.

    Minutes are those of steps and of waiting for their batches; evaluation and checkpoints don't count. The step at
    hand is finished; the epoch that the time ends in is evaluated like a whole one.
    """

    epochs: int | None
    minutes: float | None = None
    accumulate: int = 1
    evaluate_every: int = 1
    patience: int | None = None
    min_rise: float = 0.0
    save_epochs: int | None = 1
    save_steps: int | None = None
    save_minutes: float | None = None


@dataclass(frozen=True)
class Evaluator:
    """Counts a model's confusions on the validation images, and turns counts into the score that checkpoints follow."""

    count: Callable[[nn.Module], Counts]
    score: Callable[[Counts], float]  # finite; higher is better


@dataclass(frozen=True)
class Store:
    """Where checkpoints stand."""

    last: Path
    best: Path
    previous: Path


def fit(
    step: Step, stream: Stream, settings: FitSettings, store: Store, *, evaluator: Evaluator | None = None,
    progress: Progress | None = None, stop_wanted: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Event]:  # fmt: skip
    """Train from `progress` (a fresh start where None) to the end of the budget.

    Yields StepDone after each step (MicroBatchHalved before it where memory ran out), EpochDone after each epoch, Saved
    after each checkpoint and Ended once, last. When `stop_wanted` turns true, a checkpoint is written after the step at
    hand and Ended says `interrupted`. `clock` gives seconds; among several processes that of the first one counts.
    """
    return _Loop(step, stream, settings, store, evaluator, progress or Progress(), stop_wanted, clock).run()


@dataclass(frozen=True)
class _Flight:
    """A step that the device was given; `number` counts from 1 over the whole run."""

    made: Made
    number: int
    rate: float
    images: int


@dataclass
class _Loop:
    step: Step
    stream: Stream
    settings: FitSettings
    store: Store
    evaluator: Evaluator | None
    progress: Progress
    stop_wanted: Callable[[], bool]
    clock: Callable[[], float]
    saved_at: float = field(default_factory=time.monotonic)

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.stream.steps_per_epoch // self.settings.accumulate)

    @property
    def trainable(self) -> Trainable:
        return self.step.trainable

    @property
    def share(self) -> float:
        """How much of the budget is used."""
        at, budget = self.progress, self.settings
        if budget.minutes is not None:
            return at.train_seconds / (60 * budget.minutes)
        assert budget.epochs is not None
        return at.step / (budget.epochs * self.steps_per_epoch)

    @property
    def used_up(self) -> bool:
        """Whether the budget ends here: with this epoch or, of minutes, with this step."""
        if self.settings.minutes is not None:
            return self.share >= 1
        return self.progress.epoch == self.settings.epochs

    def run(self) -> Iterator[Event]:
        at = self.progress
        self.step.micro.limit = at.micro_batch
        while not at.over and (at.step_in_epoch or not self.used_up):
            interrupted = yield from self._steps()
            if interrupted:
                yield from self._save("last")
                yield Ended("interrupted", at.epoch, at.step)
                return
            yield from self._end_of_epoch()
        yield Ended("finished" if self.used_up else "stopped early", at.epoch, at.step)

    def _steps(self) -> Generator[Event, None, bool]:
        """The rest of the epoch at hand; returns whether it was interrupted."""
        at, timed = self.progress, self.settings.minutes is not None
        if timed and self.used_up:  # it stopped after the last step, before the evaluation
            return False
        self.trainable.model.train()
        batches = self.stream.epoch(at.epoch, at.step_in_epoch * self.settings.accumulate)
        began, flying, stop_after = self.clock(), deque[_Flight](), None
        while micro := list(islice(batches, self.settings.accumulate)):
            rate = self._rate()
            made = self.step(micro, stop=self.stop_wanted())
            flying.append(_Flight(made, at.step + len(flying) + 1, rate, self._images(micro)))
            given = flying[-1].number
            if self.step.micro.limit is not None and self.step.micro.limit != at.micro_batch:
                at.micro_batch = self.step.micro.limit
                yield MicroBatchHalved(given, at.micro_batch)
            due = self._save_is_due(given)
            keep, landed = 0 if due else self.step.ahead, []
            while len(flying) > keep:
                landed.append(flying.popleft())
                if landed[-1].made.read()[1] and stop_after is None:
                    # All processes stop after the same step, whichever of them read ahead to save.
                    stop_after = landed[-1].number + self.step.ahead
                if stop_after is not None and given >= stop_after:
                    keep = 0
            self._spend(self.clock() - began)
            for flight in landed:
                yield self._booked(flight)
            if stop_after is not None and given >= stop_after:
                return True
            if due:
                yield from self._save("last")
            began = self.clock()
            if timed and self.used_up:
                break
        stopping = [flight.made.read()[1] for flight in flying]
        synchronize(self.step.world.device)  # what the device still does belongs to the steps
        self._spend(self.clock() - began)
        for flight in flying:
            yield self._booked(flight)
        return stop_after is not None or any(stopping)

    def _booked(self, flight: _Flight) -> StepDone:
        """Count a step whose numbers have been read."""
        at, loss = self.progress, flight.made.read()[0]
        at.step += 1
        at.step_in_epoch += 1
        at.loss_sum += loss
        at.images += flight.images
        return StepDone(at.epoch + 1, at.step, self.steps_per_epoch, loss, flight.rate, flight.images, self.share)

    def _spend(self, seconds: float) -> None:
        """Book the seconds of a step; a budget of minutes is what the first process' clock says, for all of them."""
        at = self.progress
        at.seconds_in_epoch += seconds
        at.train_seconds += seconds
        if self.settings.minutes is not None:
            [at.train_seconds] = self.step.world.total([at.train_seconds * self.step.world.main])
            schedule = self.trainable.schedule
            assert isinstance(schedule, TimedSchedule), "a budget of minutes needs a schedule that follows time"
            schedule.advance(self.share)

    def _rate(self) -> float:
        return float(self.trainable.schedule.get_last_lr()[0])

    def _images(self, micro: Sequence[Batch]) -> int:
        return sum(len(batch.indices) for batch in micro) * self.step.world.size

    def _save_is_due(self, step: int) -> bool:
        every = self.settings
        if every.save_steps is not None and step % every.save_steps == 0:
            return True
        return every.save_minutes is not None and time.monotonic() - self.saved_at > 60 * every.save_minutes

    def _end_of_epoch(self) -> Iterator[Event]:
        at, every = self.progress, self.settings
        train_loss = at.loss_sum / max(1, at.step_in_epoch)
        seconds, steps = at.seconds_in_epoch, at.step_in_epoch
        at.epoch, at.step_in_epoch, at.loss_sum, at.seconds_in_epoch = at.epoch + 1, 0, 0.0, 0.0
        counts, score, best = None, None, self.evaluator is None
        last = self.used_up
        if self.evaluator and (last or at.epoch % every.evaluate_every == 0):
            evaluated = self.trainable.evaluated()
            self.step.world.share_buffers(evaluated)  # those that the first process saves
            counts = self.evaluator.count(evaluated)
            score = self.evaluator.score(counts)
            best = self._rank(score)
        batches = min(self.stream.steps_per_epoch, steps * every.accumulate)
        images = batches * self.stream.batch_size
        yield EpochDone(
            at.epoch, at.step, train_loss, self._rate(), seconds,
            images / max(seconds, 1e-9), counts, score, best,
        )  # fmt: skip
        if best:
            yield from self._save("best")
        if last or at.over or (every.save_epochs is not None and at.epoch % every.save_epochs == 0):
            yield from self._save("last")

    def _rank(self, score: float) -> bool:
        """Whether `score` is the best so far; counts evaluations without a rise for early stopping."""
        at, every = self.progress, self.settings
        best = at.best_score is None or score > at.best_score
        rose = at.best_score is None or score > at.best_score + every.min_rise
        if best:
            at.best_score, at.best_epoch = score, at.epoch
        at.evaluations_without_rise = 0 if rose else at.evaluations_without_rise + 1
        at.over = every.patience is not None and at.evaluations_without_rise >= every.patience
        return best

    def _save(self, kind: Literal["last", "best"]) -> Iterator[Event]:
        at = self.progress
        if self.step.world.main:
            if kind == "last":
                checkpoint.save(self.store.last, checkpoint.capture(self.trainable, at), previous=self.store.previous)
            else:
                checkpoint.save(self.store.best, checkpoint.capture_weights(self.trainable, at))
        self.saved_at = time.monotonic()
        yield Saved(kind, at.epoch, at.step)
