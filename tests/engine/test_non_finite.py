"""A loss, a gradient or weights that are infinite or NaN: the step is refused, images are named, nothing of it is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from segengine.engine import checkpoint
from segengine.engine.checkpoint import load_newest, weights_hash
from segengine.engine.fit import fit
from segengine.engine.non_finite import non_finite_tensors
from segengine.errors import RunError
from segengine.events import EpochDone, Event, StepDone
from tests.engine.tiny import Bright, CrossEntropy, Problem, problem


class RootAtZero(CrossEntropy):
    """Cross-entropy whose gradient, not its value, is NaN at images that are of class 1 all over; `mended` it isn't."""

    def __init__(self, mended: bool = False) -> None:
        super().__init__()
        self.mended = mended

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        value = super().forward(logits, target)
        full = (target == 1).flatten(1).all(dim=1)
        if full.any() and not self.mended:
            value = value + ((logits[full] * 0).sum()).sqrt()
        return value


class FullLater(Bright):
    """The samples of a data set in which one image is of class 1 all over."""

    def pair(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image, mask = super().pair(index)
        return image, np.ones_like(mask) if index == 4 else mask


def on(folder: Path, *, mended: bool = False, **options: Any) -> Problem:
    return problem(
        folder, data=FullLater(6), loss=RootAtZero(mended), batch_size=2, crop=None, save_steps=1, **options
    )  # fmt: skip


def run(p: Problem, **arguments: Any) -> list[Event]:
    return list(fit(p.step, p.stream, p.settings, p.paths, evaluator=p.evaluator, **arguments))


def on_disk(folder: Path) -> list[str]:
    """Tensors of all checkpoints that hold infinite or NaN values."""
    found = []
    for path in folder.glob("*.pt"):
        states = torch.load(path, weights_only=True)
        for part in ("model", "average"):
            found += [f"{path.name} {name}" for name in non_finite_tensors(states.get(part) or {})]
    return found


OPTIONS: list[dict[str, Any]] = [
    {}, {"accumulate": 3}, {"ema": 0.9}, {"clip_norm": 0.1}, {"micro_batch": 1}, {"queue_depth": 1, "fused": True},
    {"queue_depth": 1, "fused": True, "accumulate": 2, "ema": 0.9, "clip_norm": 0.1},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_finite_loss_with_a_nan_gradient_stops_the_run_names_the_image_and_saves_no_nan(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    p = on(tmp_path, **options)
    with pytest.raises(RunError) as raised:
        run(p)
    text = str(raised.value)
    assert text.startswith("the gradient became infinite or NaN at images image4 (learning rate ")
    assert "though the loss is finite; the weights were not changed; check the loss at these images" in text
    assert not non_finite_tensors(p.step.trainable.model.state_dict())
    assert not on_disk(tmp_path)

    second = on(tmp_path, mended=True, **options)
    found, note = load_newest(second.paths.last, second.paths.previous)
    progress = checkpoint.restore(found, second.step.trainable) if found else None
    assert note == ""
    run(second, progress=progress)
    whole = on(tmp_path / "whole", mended=True, **options)
    run(whole)
    assert weights_hash(second.step.trainable.evaluated()) == weights_hash(whole.step.trainable.evaluated())


def test_a_gradient_that_is_bad_only_over_the_whole_batch_names_all_of_it(tmp_path: Path) -> None:
    class Seventh(CrossEntropy):
        calls = 0

        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            bad = ((logits * 0).sum()).sqrt() if self.calls == 7 else 0.0
            return super().forward(logits, target) + bad

    p = problem(tmp_path, data=Bright(6), loss=Seventh(), batch_size=3, crop=None, save_steps=1)
    with pytest.raises(RunError, match=r"gradient became infinite or NaN at images image\d, image\d, image\d \("):
        run(p)
    assert not on_disk(tmp_path)
    assert checkpoint.load(p.paths.last)["progress"]["step"] == 6


def scaler(scale: float) -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", init_scale=scale)


def test_a_gradient_scaler_skips_overflows_and_lowers_its_scale_without_an_error(tmp_path: Path) -> None:
    """Gradients of the scaled loss overflow float32 until the scale is low enough, as fp16's do at 65504."""
    p = problem(tmp_path, scaler=scaler(2.0**127), loss=Steep(), epochs=6)
    events = [event for event in run(p) if isinstance(event, StepDone)]
    skipped = [event.step for event in events if not np.isfinite(event.gradient_norm)]
    assert skipped == list(range(1, len(skipped) + 1))
    assert 1 <= len(skipped) < len(events)
    assert not on_disk(tmp_path)


class Steep(CrossEntropy):
    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return 100 * super().forward(logits, target)


def test_a_gradient_that_is_nan_at_every_scale_is_an_error(tmp_path: Path) -> None:
    p = on(tmp_path, scaler=scaler(4.0), epochs=40)
    with pytest.raises(RunError, match="the gradient became infinite or NaN at images image4"):
        run(p)
    assert p.step.trainable.scaler is not None
    assert p.step.trainable.scaler.get_scale() <= 1
    assert not on_disk(tmp_path)


@pytest.mark.parametrize("what", ["buffer", "average"])
def test_weights_that_are_not_finite_are_neither_evaluated_nor_saved(tmp_path: Path, what: str) -> None:
    """A buffer of batch normalisation, which training reads nowhere, so that losses stay finite."""
    p = problem(tmp_path, save_steps=None, ema=0.9 if what == "average" else None)
    average = p.step.trainable.average
    model = average.module if average is not None else p.step.trainable.model
    seen = 0
    with pytest.raises(RunError) as raised:  # noqa: PT012
        for event in fit(p.step, p.stream, p.settings, p.paths, evaluator=p.evaluator):
            if isinstance(event, StepDone) and event.step == 4:
                model.layers[1].running_var[1] = torch.inf  # type: ignore[index, union-attr]
            seen += isinstance(event, EpochDone)
    assert seen == 1
    assert str(raised.value) == (
        f"the weights became infinite or NaN ({'module.' if what == 'average' else ''}layers.1.running_var), though losses and "
        "gradients were finite; the last checkpoint is kept; lower training.optimizer.learning_rate, or set training.clip_norm: 1"
    )
    assert not on_disk(tmp_path)
    assert checkpoint.load(p.paths.last)["progress"]["epoch"] == 1


def test_resuming_takes_the_newest_checkpoint_that_is_whole_and_finite(tmp_path: Path) -> None:
    p = problem(tmp_path, epochs=2)
    run(p)
    good = checkpoint.load(p.paths.last)
    bad = {**good, "model": {**good["model"], "layers.0.weight": good["model"]["layers.0.weight"] * torch.nan}}
    checkpoint.save(p.paths.last, bad, previous=p.paths.previous)
    found, note = load_newest(p.paths.last, p.paths.previous)
    assert found is not None
    assert not non_finite_tensors(found["model"])
    assert note == (
        f"{p.paths.last}: contains infinite or NaN weights (layers.0.weight); resuming from the checkpoint before it, "
        "previous.pt"
    )
    checkpoint.save(p.paths.previous, bad)
    with pytest.raises(
        RunError, match=r"neither last\.pt nor previous\.pt is a readable checkpoint with finite weights"
    ):
        load_newest(p.paths.last, p.paths.previous)


def test_the_norm_of_a_step_is_that_of_its_whole_gradient_before_clipping(tmp_path: Path) -> None:
    norms: list[float] = []
    p = problem(tmp_path, clip_norm=1e-3, accumulate=2, epochs=2)
    clip = nn.utils.clip_grads_with_norm_

    def watched(parameters: Any, most: float, norm: torch.Tensor) -> None:
        parameters = list(parameters)
        norms.append(float(sum((q.grad.double() ** 2).sum() for q in parameters).sqrt()))
        clip(parameters, most, norm)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.utils, "clip_grads_with_norm_", watched)
        events = run(p)
    steps = [event.gradient_norm for event in events if isinstance(event, StepDone)]
    assert steps == pytest.approx(norms, rel=1e-5)
    epochs = [event for event in events if isinstance(event, EpochDone)]
    half = len(steps) // 2
    assert [e.gradient_norm for e in epochs] == pytest.approx([np.mean(steps[:half]), np.mean(steps[half:])])
    assert [e.largest_gradient_norm for e in epochs] == [max(steps[:half]), max(steps[half:])]
