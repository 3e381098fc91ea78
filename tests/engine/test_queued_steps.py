"""Steps that are queued before the loss of the one before is read back, as on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from segengine.components.optimizers import Adam, AdamW, Sgd
from segengine.engine import checkpoint
from segengine.engine.checkpoint import weights_hash
from segengine.engine.fit import fit
from segengine.engine.non_finite import NonFiniteLatch, queue_depth
from segengine.errors import RunError
from segengine.events import Ended, Event, Saved, StepDone
from tests.engine.test_fit import BlowsUp, OneFull
from tests.engine.tiny import CPU, Problem, problem


def on(folder: Path, depth: int, **options: Any) -> Problem:
    return problem(folder, queue_depth=depth, fused=True, **options)


def run(p: Problem, **options: Any) -> Iterator[Event]:
    return fit(p.step, p.stream, p.settings, p.paths, evaluator=p.evaluator, **options)


@pytest.mark.parametrize("options", [{}, {"accumulate": 2, "ema": 0.9, "clip_norm": 0.1}, {"save_steps": 2}])
def test_reading_later_changes_no_number(tmp_path: Path, options: dict[str, Any]) -> None:
    at_once = on(tmp_path / "0", 0, **options)
    expected = list(run(at_once))
    later = on(tmp_path / "1", 1, **options)
    events = list(run(later))
    assert [e for e in events if isinstance(e, StepDone)] == [e for e in expected if isinstance(e, StepDone)]
    assert [e for e in events if isinstance(e, Saved)] == [e for e in expected if isinstance(e, Saved)]
    assert weights_hash(later.step.trainable.model) == weights_hash(at_once.step.trainable.model)
    for file in ("last.pt", "best.pt", "previous.pt"):
        ours, theirs = (checkpoint.load(tmp_path / folder / file) for folder in ("1", "0"))
        assert ours["progress"] | {"seconds_in_epoch": 0, "train_seconds": 0} == theirs["progress"] | {
            "seconds_in_epoch": 0,
            "train_seconds": 0,
        }


@pytest.mark.parametrize("stop_at", [1, 2, 3, 5])
def test_an_interrupted_run_stands_between_two_steps_and_ends_with_equal_bits(tmp_path: Path, stop_at: int) -> None:
    whole = on(tmp_path / "whole", 1)
    list(run(whole))
    first = on(tmp_path / "parts", 1)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked >= stop_at

    events = list(run(first, stop_wanted=stop))
    steps = [event.step for event in events if isinstance(event, StepDone)]
    assert events[-1].reason == "interrupted"  # type: ignore[union-attr]
    assert steps == list(range(1, len(steps) + 1))
    assert stop_at <= len(steps) <= stop_at + 1
    second = on(tmp_path / "parts", 1)
    progress = checkpoint.restore(checkpoint.load(second.paths.last), second.step.trainable)
    assert progress.step == len(steps)
    assert isinstance(list(run(second, progress=progress))[-1], Ended)
    assert weights_hash(second.step.trainable.model) == weights_hash(whole.step.trainable.model)


def test_a_loss_that_is_not_finite_changes_no_weight_though_the_next_step_has_begun(tmp_path: Path) -> None:
    p = on(tmp_path, 1, data=OneFull(6), loss=BlowsUp(), batch_size=2, crop=None)
    parameters = p.step.trainable.model.parameters
    after: list[list[torch.Tensor]] = [[each.detach().clone() for each in parameters()]]
    update = type(p.step)._update

    def watched(step: Any, numbers: torch.Tensor, norm: torch.Tensor) -> None:
        update(step, numbers, norm)
        after.append([each.detach().clone() for each in parameters()] + [numbers[3:].clone()])

    type(p.step)._update = watched  # type: ignore[method-assign]
    try:
        with pytest.raises(RunError, match=r"became infinite or NaN at images image4 .* the weights were not changed;"):
            list(run(p))
    finally:
        type(p.step)._update = update  # type: ignore[method-assign]
    bad = next(i for i, state in enumerate(after[1:], 1) if state[-1].any())
    assert len(after) - 1 in (bad, bad + 1)
    good = after[bad - 1][: len(list(parameters()))]
    assert all(torch.equal(old, new) for old, new in zip(good, parameters(), strict=True))


@pytest.mark.parametrize("component", [AdamW(), Adam(), Sgd()])
def test_fused_optimizers_skip_every_step_once_the_latch_is_set(component: Any) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer, latch = component.build(parameters=[{"params": [weight]}], fused=True), NonFiniteLatch()
    for flags, moves in (([0.0], True), ([0.0, 1.0], False), ([0.0], False)):
        before = weight.detach().clone()
        weight.grad = torch.full((3,), 0.5)
        latch.remember(torch.tensor(flags))
        latch.step(optimizer)
        assert torch.equal(before, weight) is not moves
    assert not hasattr(optimizer, "found_inf")


def test_once_the_latch_is_set_the_loss_is_nan_for_the_gradient_scaler() -> None:
    latch = NonFiniteLatch()
    latch.remember(torch.tensor([0.0]))
    assert latch.loss(torch.tensor(2.0)) == 2
    latch.remember(torch.tensor([2.0]))
    latch.remember(torch.tensor([0.0]))
    assert latch.loss(torch.tensor(2.0)).isnan()


def test_only_steps_of_optimizers_that_can_skip_one_are_queued_and_only_on_gpus() -> None:
    def optimizer(fused: bool) -> torch.optim.Optimizer:
        return AdamW().build(parameters=[{"params": [torch.nn.Parameter(torch.ones(1))]}], fused=fused)

    assert queue_depth(optimizer(True), torch.device("cuda")) == 1
    assert queue_depth(optimizer(False), torch.device("cuda")) == 0
    assert queue_depth(optimizer(True), CPU) == 0
