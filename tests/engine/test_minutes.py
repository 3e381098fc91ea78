"""A budget of minutes: by a clock that only steps move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from segengine.engine import checkpoint
from segengine.engine.checkpoint import weights_hash
from segengine.engine.fit import fit
from segengine.events import Ended, EpochDone, Event, StepDone
from tests.engine.tiny import CrossEntropy, Problem, problem


class Clock(CrossEntropy):
    """A loss that takes `seconds` each time, by its own clock."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.now = seconds, 1000.0

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        self.now += self.seconds
        return super().forward(logits, target)

    def __call__(self, *tensors: torch.Tensor) -> Any:
        return super().__call__(*tensors) if tensors else self.now


def timed(folder: Path, minutes: float, seconds: float = 1.0, **settings: Any) -> Problem:
    """Steps of `seconds` each; an epoch has 3."""
    return problem(folder, loss=Clock(seconds), epochs=None, minutes=minutes, **settings)


def run(p: Problem, **arguments: Any) -> list[Event]:
    clock = p.step.loss
    assert isinstance(clock, Clock)
    return list(fit(p.step, p.stream, p.settings, p.paths, evaluator=p.evaluator, clock=clock, **arguments))


def of(kind: type[Any], events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_training_ends_with_the_step_that_uses_the_time_up_and_evaluates(tmp_path: Path) -> None:
    events = run(timed(tmp_path, minutes=8 / 60))
    steps, epochs = of(StepDone, events), of(EpochDone, events)
    assert len(steps) == 8
    assert [event.step for event in epochs] == [3, 6, 8]
    assert [event.seconds for event in epochs] == [3, 3, 2]
    assert all(event.counts is not None for event in epochs)
    assert [event.share for event in steps] == pytest.approx([k / 8 for k in range(1, 9)])
    assert events[-1] == Ended("finished", 3, 8)


def test_a_budget_below_one_step_makes_one_step_and_its_evaluation(tmp_path: Path) -> None:
    p = timed(tmp_path, minutes=0.5 / 60, evaluate_every=5)
    events = run(p)
    assert (len(of(StepDone, events)), len(of(EpochDone, events))) == (1, 1)
    assert of(EpochDone, events)[0].best
    assert p.paths.best.exists()


@pytest.mark.parametrize("seconds", [1 / 64, 0.75])
def test_the_rate_ends_at_zero_however_many_steps_the_time_allows(tmp_path: Path, seconds: float) -> None:
    p = timed(tmp_path, minutes=1.5 / 60, seconds=seconds)
    steps = of(StepDone, run(p))
    assert len(steps) == 1.5 / seconds
    assert p.step.trainable.schedule.get_last_lr() == [pytest.approx(0, abs=1e-9)]
    assert max(step.learning_rate for step in steps) <= 0.05
    if len(steps) > 2:  # a tenth of the time is warm-up
        assert steps[-(-len(steps) // 10)].learning_rate == pytest.approx(0.05, rel=0.02)
        assert steps[len(steps) * 55 // 100].learning_rate == pytest.approx(0.025, rel=0.03)


def test_evaluation_and_checkpoints_cost_none_of_the_time(tmp_path: Path) -> None:
    def score(counts: Any) -> float:
        p.step.loss.now += 100
        return 0.5

    p = timed(tmp_path, minutes=6 / 60, save_steps=1, score=score)
    steps = 0
    for event in fit(p.step, p.stream, p.settings, p.paths, evaluator=p.evaluator, clock=p.step.loss):  # type: ignore[arg-type]
        p.step.loss.now += 100  # whoever listens takes time as well
        steps += isinstance(event, StepDone)
    assert steps == 6


@pytest.mark.parametrize("stop_after", [1, 3, 4, 7, 8])
def test_a_resumed_run_goes_on_with_what_is_left_of_its_time(tmp_path: Path, stop_after: int) -> None:
    whole = timed(tmp_path / "whole", minutes=8 / 60)
    run(whole)

    first, done = timed(tmp_path / "parts", minutes=8 / 60), 0

    def stop() -> bool:
        nonlocal done
        done += 1
        return done == stop_after

    assert run(first, stop_wanted=stop)[-1] == Ended("interrupted", (stop_after - 1) // 3, stop_after)
    second = timed(tmp_path / "parts", minutes=8 / 60)
    progress = checkpoint.restore(checkpoint.load(second.paths.last), second.step.trainable)
    assert (progress.train_seconds, progress.images) == (stop_after, 3 * stop_after)
    events = run(second, progress=progress)
    assert len(of(StepDone, events)) == 8 - stop_after
    assert of(EpochDone, events)[-1].counts is not None
    assert events[-1] == Ended("finished", 3, 8)
    assert progress.images == 24
    assert weights_hash(second.step.trainable.model) == weights_hash(whole.step.trainable.model)
    again = timed(tmp_path / "parts", minutes=8 / 60)
    progress = checkpoint.restore(checkpoint.load(again.paths.last), again.step.trainable)
    assert run(again, progress=progress) == [Ended("finished", 3, 8)]


def test_early_stopping_ends_training_before_its_time(tmp_path: Path) -> None:
    events = run(timed(tmp_path, minutes=100, patience=1, score=lambda counts: 0.5))
    assert events[-1] == Ended("stopped early", 2, 6)
