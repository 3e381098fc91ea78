from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from segengine.engine import checkpoint
from segengine.engine.checkpoint import weights_hash
from segengine.engine.fit import Evaluator, fit
from segengine.errors import RunError
from segengine.events import Ended, EpochDone, Event, Saved, StepDone
from tests.engine.tiny import Bright, Problem, network, problem


def run(p: Problem, **arguments: Any) -> list[Event]:
    return list(fit(p.step, p.stream, p.settings, p.paths, evaluator=p.evaluator, **arguments))


def losses(events: Iterable[Event]) -> list[float]:
    return [event.loss for event in events if isinstance(event, StepDone)]


def test_training_learns_and_tells_what_it_did(tmp_path: Path) -> None:
    p = problem(tmp_path, epochs=12)
    events = run(p)
    epochs = [event for event in events if isinstance(event, EpochDone)]
    assert [event.epoch for event in epochs] == list(range(1, 13))
    assert epochs[-1].step == 12 * p.stream.steps_per_epoch == len(losses(events))
    assert epochs[-1].score is not None
    assert epochs[-1].score > 0.9
    assert epochs[0].train_loss == pytest.approx(np.mean(losses(events)[: p.stream.steps_per_epoch]))
    assert epochs[0].counts is not None
    assert sum(table.sum() for table in epochs[0].counts.values()) == 7 * (20 * 24 - 9)
    assert events[-1] == Ended("finished", 12, epochs[-1].step)


def test_the_moving_average_is_what_is_scored_and_kept(tmp_path: Path) -> None:
    p = problem(tmp_path, epochs=3, ema=0.9, score=lambda counts: 0.5)
    model, scored = p.step.trainable.model, list[str]()
    evaluator = Evaluator(lambda m: [scored.append(weights_hash(m)), p.evaluator.count(m)][1], p.evaluator.score)
    average: dict[str, torch.Tensor] = {}
    for event in fit(p.step, p.stream, p.settings, p.paths, evaluator=evaluator):
        if isinstance(event, StepDone):
            now = {name: tensor.clone() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
            decay = min(0.9, 1 - event.step ** (-2 / 3))
            average = {name: decay * average[name] + (1 - decay) * now[name] for name in now} if average else now
        if isinstance(event, EpochDone) and event.epoch == 1:
            first = average
    assert p.step.trainable.average is not None
    assert scored[-1] == weights_hash(p.step.trainable.average.module) != weights_hash(model)
    kept = checkpoint.load(p.paths.best)["model"]  # equal scores: that of the first epoch
    for name, tensor in first.items():
        torch.testing.assert_close(kept[name], tensor)


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4, 7, 11])
@pytest.mark.parametrize("options", [{}, {"ema": 0.8, "clip_norm": 0.1}, {"accumulate": 2}])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, stop_after: int, options: dict[str, Any]) -> None:
    whole = problem(tmp_path / "whole", **options)
    expected = run(whole)

    first = problem(tmp_path / "parts", **options)
    done = 0

    def stop() -> bool:
        return done >= stop_after - 1

    for event in fit(
        first.step, first.stream, first.settings, first.paths, evaluator=first.evaluator, stop_wanted=stop
    ):
        done += isinstance(event, StepDone)
    assert isinstance(event, Ended)

    torch.manual_seed(12345)  # nothing of this process may matter
    second = problem(tmp_path / "parts", model=nn.Sequential(network())[0], **options)
    progress = checkpoint.restore(checkpoint.load(second.paths.last), second.step.trainable)
    rest = run(second, progress=progress)
    assert losses(expected)[-len(losses(rest)) :] == losses(rest) or not losses(rest)
    assert weights_hash(second.step.trainable.model) == weights_hash(whole.step.trainable.model)
    assert weights_hash(second.step.trainable.evaluated()) == weights_hash(whole.step.trainable.evaluated())
    last = [event for event in expected if isinstance(event, EpochDone)][-1]
    again = [event for event in rest if isinstance(event, EpochDone)]
    assert not again or (again[-1].score, again[-1].train_loss) == (last.score, last.train_loss)


def test_a_checkpoint_in_the_middle_of_an_epoch_resumes_there(tmp_path: Path) -> None:
    whole = problem(tmp_path / "whole", save_steps=2)
    steps = 0
    for event in fit(whole.step, whole.stream, whole.settings, whole.paths, evaluator=whole.evaluator):
        steps += isinstance(event, StepDone)
        if isinstance(event, Saved) and event.step == 8:
            break  # as a killed process would
    second = problem(tmp_path / "whole")
    progress = checkpoint.restore(checkpoint.load(second.paths.last), second.step.trainable)
    assert (progress.epoch, progress.step_in_epoch, progress.step) == (2, 2, 8)
    run(second, progress=progress)
    alone = problem(tmp_path / "alone")
    run(alone)
    assert weights_hash(second.step.trainable.model) == weights_hash(alone.step.trainable.model)


class Uneven(Bright):
    """Every other image has hardly a valid pixel, so that a mean of means would be wrong."""

    def pair(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image, mask = super().pair(index)
        if index % 2:
            mask[:, 2:] = 255
        return image, mask


def test_accumulated_batches_make_the_step_of_one_large_batch(tmp_path: Path) -> None:
    class Plain(nn.Module):  # batch norm would see other batches
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layer(images.float() / 255)  # type: ignore[no-any-return]

    data = Uneven(8)
    large = problem(tmp_path / "a", data=data, model=Plain(), batch_size=4)
    small = problem(tmp_path / "b", data=data, model=Plain(), batch_size=2, accumulate=2)
    assert losses(run(small)) == pytest.approx(losses(run(large)), rel=1e-5)
    for ours, theirs in zip(
        small.step.trainable.model.parameters(), large.step.trainable.model.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


class BlowsUp(nn.Module):
    """NaN where an image is of class 1 all over."""

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return logits.mean() + torch.where((target == 1).all(dim=2).all(dim=1).any(), torch.nan, 0.0)


class OneFull(Bright):
    def pair(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return self.images[index], np.full((20, 24), index == 4, np.uint8)


def test_a_loss_that_is_not_finite_stops_before_the_weights_change_and_names_the_images(tmp_path: Path) -> None:
    p = problem(tmp_path, data=OneFull(6), loss=BlowsUp(), batch_size=2, crop=None)
    parameters = p.step.trainable.model.parameters
    before = [each.detach().clone() for each in parameters()]
    with pytest.raises(RunError) as caught:  # noqa: PT012
        for event in fit(p.step, p.stream, p.settings, p.paths, evaluator=p.evaluator):
            if isinstance(event, StepDone):
                before = [each.detach().clone() for each in parameters()]
    assert all(torch.equal(old, new) for old, new in zip(before, parameters(), strict=True))
    assert str(caught.value) == (
        f"the loss became infinite or NaN at images image4 (learning rate {p.step.trainable.schedule.get_last_lr()[0]:.3g}); the "
        "weights were not changed; lower training.optimizer.learning_rate, set training.clip_norm: 1, or look at these images"
    )


def test_early_stopping_counts_evaluations_without_a_rise(tmp_path: Path) -> None:
    scores = iter([0.5, 0.6, 0.6, 0.55, 0.9, 0.9])
    p = problem(tmp_path, epochs=6, patience=2, score=lambda counts: next(scores))
    events = run(p)
    assert events[-1] == Ended("stopped early", 4, 12)
    assert [e.best for e in events if isinstance(e, EpochDone)] == [True, True, False, False]
    best = checkpoint.load(p.paths.best)
    assert best["progress"]["best_epoch"] == 2
    again = problem(tmp_path, epochs=6, patience=2)
    progress = checkpoint.restore(checkpoint.load(again.paths.last), again.step.trainable)
    assert run(again, progress=progress) == [Ended("stopped early", 4, 12)]


def test_evaluation_happens_as_often_as_asked_and_at_the_end(tmp_path: Path) -> None:
    events = run(problem(tmp_path, epochs=5, evaluate_every=2))
    assert [event.counts is not None for event in events if isinstance(event, EpochDone)] == [
        False,
        True,
        False,
        True,
        True,
    ]


def test_a_torn_checkpoint_is_a_clear_error(tmp_path: Path) -> None:
    p = problem(tmp_path, epochs=1)
    run(p)
    content = p.paths.last.read_bytes()
    p.paths.last.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match=r"last\.pt: not a readable checkpoint"):
        checkpoint.load(p.paths.last)


def test_a_checkpoint_runs_no_code_when_loaded(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.write_text, (tmp_path / "owned", "x"))

    torch.save({"format": 1, "progress": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(RunError, match="not a readable checkpoint"):
        checkpoint.load(tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


def test_workers_change_no_number(tmp_path: Path) -> None:
    alone = losses(run(problem(tmp_path / "a")))
    helped = problem(tmp_path / "b", workers=2)
    assert losses(run(helped)) == alone
    helped.stream.close()
