"""The training loop: a generator of events. It writes checkpoints only; callers log and plot."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from torch import nn

from segengine.data.batches.batch import Batch, BatchStream
from segengine.engine import checkpoint
from segengine.engine.checkpoint import CheckpointPaths, Progress, Trainable, generator_states
from segengine.engine.distributed import synchronize
from segengine.engine.step import QueuedStep, TrainingStep
from segengine.engine.time_budget import TimedSchedule
from segengine.events import Counts, Ended, EpochDone, Event, Saved, StepDone

_AGREED_STEPS = 16
"""Interval in steps at which several processes agree whether a time-based checkpoint is due."""


@dataclass(frozen=True)
class FitSettings:
    """Budget of training, and how often it is evaluated and saved. Either `epochs` or `minutes` is None.

    Minutes count steps and waiting for their batches, not evaluation and checkpoints. The current step is completed, and
    an incomplete last epoch is evaluated like a complete one.
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
    """Computes confusion counts on the validation images, and from counts the score that selects the best checkpoint."""

    count: Callable[[nn.Module], Counts]
    score: Callable[[Counts], float]  # finite; higher is better


def fit(
    step: TrainingStep, stream: BatchStream, settings: FitSettings, paths: CheckpointPaths, *, evaluator: Evaluator | None = None,
    progress: Progress | None = None, stop_wanted: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Event]:  # fmt: skip
    """Train from `progress` (None: from the start) to the end of the budget.

    Yields StepDone after each step, EpochDone after each epoch, Saved after each checkpoint and Ended once, last. When
    `stop_wanted` turns true, a checkpoint is written after the current step and Ended says `interrupted`. `clock` gives
    seconds; with several processes, rank 0's is used.

    Raises:
        RunError: a loss, a gradient or, before a checkpoint, the weights are infinite or NaN; such weights are never saved.
    """
    return _Loop(step, stream, settings, paths, evaluator, progress or Progress(), stop_wanted, clock).run()


@dataclass(frozen=True)
class _Pending:
    """A queued step; `number` counts from 1 over the whole run."""

    queued: QueuedStep
    number: int
    rate: float
    images: int


@dataclass
class _Loop:
    step: TrainingStep
    stream: BatchStream
    settings: FitSettings
    paths: CheckpointPaths
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
        """Fraction of the budget used, 0..1."""
        at, budget = self.progress, self.settings
        if budget.minutes is not None:
            return at.train_seconds / (60 * budget.minutes)
        assert budget.epochs is not None
        return at.step / (budget.epochs * self.steps_per_epoch)

    @property
    def used_up(self) -> bool:
        """Whether the budget is used up: after this epoch or, for minutes, after this step."""
        if self.settings.minutes is not None:
            return self.share >= 1
        return self.progress.epoch == self.settings.epochs

    def run(self) -> Iterator[Event]:
        at = self.progress
        while not at.over and (at.step_in_epoch or not self.used_up):
            interrupted = yield from self._steps()
            if interrupted:
                yield from self._save("last")
                yield Ended("interrupted", at.epoch, at.step)
                return
            yield from self._end_of_epoch()
        yield Ended("finished" if self.used_up else "stopped early", at.epoch, at.step)

    def _steps(self) -> Generator[Event, None, bool]:
        """Run the rest of the current epoch; returns whether it was interrupted."""
        at, timed = self.progress, self.settings.minutes is not None
        if timed and self.used_up:  # interrupted after the last step, before the evaluation
            return False
        self.trainable.model.train()
        batches = self.stream.epoch(at.epoch, at.step_in_epoch * self.settings.accumulate)
        began, pending, stop_after = self.clock(), deque[_Pending](), None
        while micro := list(islice(batches, self.settings.accumulate)):
            rate = self._rate()
            queued = self.step(micro, stop=self.stop_wanted())
            pending.append(_Pending(queued, at.step + len(pending) + 1, rate, self._images(micro)))
            newest = pending[-1].number
            due = self._save_is_due(newest)
            keep, done = 0 if due else self.step.queue_depth, []
            while len(pending) > keep:
                done.append(pending.popleft())
                if done[-1].queued.result().stop and stop_after is None:
                    # All processes stop after the same step, even if one has emptied its queue to save.
                    stop_after = done[-1].number + self.step.queue_depth
                if stop_after is not None and newest >= stop_after:
                    keep = 0
            self._spend(self.clock() - began)
            for each in done:
                yield self._counted(each)
            if stop_after is not None and newest >= stop_after:
                return True
            if due:
                yield from self._save("last")
            began = self.clock()
            if timed and self.used_up:
                break
        stopping = [each.queued.result().stop for each in pending]
        synchronize(self.step.world.device)  # queued work counts as training time
        self._spend(self.clock() - began)
        for each in pending:
            yield self._counted(each)
        return stop_after is not None or any(stopping)

    def _counted(self, pending: _Pending) -> StepDone:
        """Update the counters with a step whose loss has been read back."""
        at, (loss, norm, _) = self.progress, pending.queued.result()
        at.step += 1
        at.step_in_epoch += 1
        at.loss_sum += loss
        at.images += pending.images
        if math.isfinite(norm):
            at.norm_sum, at.norm_max, at.norm_steps = at.norm_sum + norm, max(at.norm_max, norm), at.norm_steps + 1
        return StepDone(
            at.epoch + 1, at.step, self.steps_per_epoch, loss, pending.rate, pending.images, self.share, norm
        )  # fmt: skip

    def _spend(self, seconds: float) -> None:
        """Add the seconds of a step; a budget of minutes uses rank 0's clock in all processes."""
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
        every, world = self.settings, self.step.world
        if every.save_steps is not None and step % every.save_steps == 0:
            return True
        if every.save_minutes is None or (world.size > 1 and step % _AGREED_STEPS):
            return False
        due = time.monotonic() - self.saved_at > 60 * every.save_minutes
        # Saving gathers the generators of all processes, so all must take part; rank 0's clock decides.
        return world.total([float(due and world.main)])[0] > 0

    def _end_of_epoch(self) -> Iterator[Event]:
        at, every = self.progress, self.settings
        self.trainable.check_finite()
        train_loss = at.loss_sum / max(1, at.step_in_epoch)
        seconds, steps = at.seconds_in_epoch, at.step_in_epoch
        norm, largest = (at.norm_sum / at.norm_steps, at.norm_max) if at.norm_steps else (None, None)
        at.epoch, at.step_in_epoch, at.loss_sum, at.seconds_in_epoch = at.epoch + 1, 0, 0.0, 0.0
        at.norm_sum, at.norm_max, at.norm_steps = 0.0, 0.0, 0
        counts, score, best = None, None, self.evaluator is None
        last = self.used_up
        if self.evaluator and (last or at.epoch % every.evaluate_every == 0):
            evaluated = self.trainable.evaluated()
            self.step.world.share_buffers(evaluated)  # rank 0's, which are saved
            counts = self.evaluator.count(evaluated)
            score = self.evaluator.score(counts)
            best = self._rank(score)
        batches = min(self.stream.steps_per_epoch, steps * every.accumulate)
        images = batches * self.stream.batch_size
        yield EpochDone(
            at.epoch, at.step, train_loss, self._rate(), seconds,
            images / max(seconds, 1e-9), counts, score, best, norm, largest,
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
        at, world = self.progress, self.step.world
        self.trainable.check_finite()
        generators = world.gathered(generator_states()) if kind == "last" else []
        if world.main:
            if kind == "last":
                captured = checkpoint.capture(self.trainable, at, generators)
                checkpoint.save(self.paths.last, captured, previous=self.paths.previous)
            else:
                checkpoint.save(self.paths.best, checkpoint.capture_weights(self.trainable, at))
        self.saved_at = time.monotonic()
        yield Saved(kind, at.epoch, at.step)
