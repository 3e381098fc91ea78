from __future__ import annotations

import resource
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from segengine.components.optimizers import AdamW
from segengine.components.schedules import Cosine
from segengine.engine.batch_size import Trial, foretold, largest, largest_that_fits, learns_statistics, sizes
from segengine.engine.checkpoint import Trainable
from segengine.engine.distributed import World
from segengine.engine.peak import PeakMemory
from segengine.engine.precision import pick_precision
from segengine.engine.step import Step
from segengine.errors import RunError
from tests.engine.test_memory import Small
from tests.engine.tiny import CPU, CrossEntropy, network

MB = 10**6
PLENTY = 4 * 10**9


class Wide(nn.Module):
    """2 MB of weights and about 1 MB of inner maps an image of 64x64 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 2, 1))
        self.weights = nn.Parameter(torch.zeros(500_000))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images.float() / 255) + self.weights.mean()  # type: ignore[no-any-return]


def trial(model: nn.Module, size: int = 12, accumulate: int = 1) -> Trial:
    optimizer = AdamW(learning_rate=0.05).build(parameters=[{"params": list(model.parameters())}], fused=False)
    trainable = Trainable(model, optimizer, Cosine(warmup=0.1).build(optimizer=optimizer, total_steps=4))
    step = Step(trainable, model, CrossEntropy(), pick_precision("auto", CPU), World(CPU), None, str)
    return Trial.of(step, 1, (size, size), 2, accumulate)


def told(per_image: int, device: str, asked: list[int]) -> Any:
    """A trial of a network that takes 100 MB and so much an image, on a device with 1 GB."""

    def taken(images: int, free: int) -> int | None:
        asked.append(images)
        return 100 * MB + per_image * images if 100 * MB + per_image * images <= free else None

    return SimpleNamespace(step=SimpleNamespace(world=World(torch.device(device))), bytes=taken)


@pytest.mark.parametrize(
    ("least", "most", "numbers"),
    [
        (1, 64, [1, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64]),
        (2, 13, [2, 4, 6, 8, 12]), (1, 1, [1]), (2, 1, [2]), (2, 3, [2]), (2, 40, [2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40]),
    ],
)  # fmt: skip
def test_batches_are_chosen_from_few_numbers(least: int, most: int, numbers: list[int]) -> None:
    assert sizes(least, most) == numbers


def test_the_largest_that_fits_is_found_with_few_questions() -> None:
    numbers = sizes(1, 64)
    for limit in range(66):
        asked: list[int] = []
        found = largest(numbers, lambda images, limit=limit, asked=asked: asked.append(images) or images <= limit)  # type: ignore[misc, func-returns-value]
        assert found == max((number for number in numbers if number <= limit), default=None)
        assert len(asked) == len(set(asked)) <= 8


def test_memory_is_foretold_along_a_line_and_never_falls() -> None:
    assert [foretold(2, 300, 4, 500)(images) for images in (2, 4, 8, 64)] == [300, 500, 900, 6500]
    assert foretold(2, 300, 4, 290)(64) == 300


@pytest.mark.parametrize(("per_image", "found"), [(10, 64), (13, 56), (60, 12), (350, 2), (399, 2), (401, None)])
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_step_takes_no_more_than_is_usable(per_image: int, found: int | None, device: str) -> None:
    asked: list[int] = []
    trial_of = told(per_image * MB, device, asked)
    assert largest_that_fits(trial_of, sizes(2, 64), 900 * MB, 1000 * MB) == found
    if device == "cpu":
        assert set(asked) <= {2, 4, found}, "on a CPU nothing larger is tried than what is chosen"
    elif found:
        assert found in asked, "on a GPU what is chosen was tried"


def test_what_was_foretold_too_low_is_found_out_by_trying_it() -> None:
    asked: list[int] = []
    bent: Any = told(0, "cpu", asked)
    bent.bytes = lambda images, free: asked.append(images) or (100 + max(10 * images, 20 * images - 60)) * MB
    assert largest_that_fits(bent, sizes(2, 64), 900 * MB, 1000 * MB) == 40
    assert asked == [2, 4, 64, 56, 48, 40]


def test_a_trial_counts_weights_optimizer_and_inner_maps() -> None:
    tried = trial(Wide(), size=64)
    two, six = tried.bytes(2, PLENTY), tried.bytes(6, PLENTY)
    assert two is not None
    assert six is not None
    held = 3 * 4 * 500_000  # weights and both of AdamW's averages
    assert held + 2 * MB < two < held + 30 * MB
    assert 4 * MB < six - two < 60 * MB
    assert tried.step.trainable.held_bytes() > held


def test_a_trial_tries_whole_batches_and_leaves_no_gradient() -> None:
    model = Small(4)
    tried = trial(model, accumulate=5)
    assert tried.bytes(4, PLENTY) is not None
    assert tried.bytes(6, PLENTY) is None
    assert model.seen == [0, 4, 4, 4, 4, 6], "two steps of two batches, and no halving"
    assert all(parameter.grad is None for parameter in model.parameters())


def test_where_a_cpus_memory_would_run_out_the_step_fails_and_nobody_is_killed() -> None:
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    tried = trial(Wide(), size=256)
    assert tried.bytes(64, 300 * MB) is None
    assert resource.getrlimit(resource.RLIMIT_DATA) == limits
    assert tried.bytes(1, PLENTY) is not None


def test_where_nobody_tells_what_is_taken_a_number_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PeakMemory, "peak", lambda self: None)
    with pytest.raises(RunError) as raised:
        trial(Small(99)).bytes(2, PLENTY)
    assert str(raised.value) == (
        "training.batch_size: auto: nobody tells here how much memory a step takes, as CUDA and Linux do; write a number"
    )


def test_other_errors_of_a_step_are_not_taken_for_too_little_memory() -> None:
    model = Small(99)
    model.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        trial(model).bytes(2, PLENTY)


def test_batch_normalisation_that_is_fixed_learns_nothing() -> None:
    class Fixed(nn.BatchNorm2d):
        def train(self, mode: bool = True) -> Fixed:
            return super().train(False)

    assert learns_statistics(network())
    assert not learns_statistics(nn.Sequential(Fixed(3)))
