"""The dry run, on a CPU with networks that raise torch.OutOfMemoryError as a GPU's would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from segengine.components.optimizers import AdamW
from segengine.components.schedules import Cosine
from segengine.engine.checkpoint import Trainable
from segengine.engine.distributed import World
from segengine.engine.dry_run import (
    DryRun,
    batch_sizes,
    evaluated_size,
    fitting_batch,
    fitting_evaluation_batch,
    fitting_micro_batch,
    halvings,
    held_bytes,
    largest,
    learns_statistics,
)
from segengine.engine.fit import fit
from segengine.engine.memory import PeakMemory
from segengine.engine.precision import nondeterministic_operations, pick_precision
from segengine.engine.prediction import Predictor
from segengine.engine.step import TrainingStep
from segengine.errors import RunError
from segengine.events import StepDone
from tests.engine.tiny import CPU, CrossEntropy, network, problem

MB = 10**6
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total ...")


class Small(nn.Module):
    """A network on a device with memory for `most` images in training and `evaluated` in evaluation; no batch norm."""

    def __init__(self, most: int, evaluated: int = 99) -> None:
        super().__init__()
        self.most, self.evaluated = most, evaluated
        self.seen: list[tuple[bool, int]] = []
        torch.manual_seed(0)
        self.layer = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.training, len(images)))
        if len(images) > (self.most if self.training else self.evaluated):
            raise FULL
        return self.layer(images.float() / 255)  # type: ignore[no-any-return]


class Wide(nn.Module):
    """2 MB of weights and about 1 MB of inner maps per image of 64x64 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 2, 1))
        self.weights = nn.Parameter(torch.zeros(500_000))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images.float() / 255) + self.weights.mean()  # type: ignore[no-any-return]


class Agreeing(World):
    """A process among others that found these numbers."""

    others: tuple[Any, ...] = ()

    def gathered(self, item: Any) -> list[Any]:
        return [item, *self.others]


def dry_run(
    model: nn.Module, size: int = 12, accumulate: int = 1, *others: Any, loss: nn.Module | None = None
) -> DryRun:
    optimizer = AdamW(learning_rate=0.05).build(parameters=[{"params": list(model.parameters())}], fused=False)
    trainable = Trainable(model, optimizer, Cosine(warmup=0.1).build(optimizer=optimizer, total_steps=4))
    precision = pick_precision("auto", CPU)
    step = TrainingStep(trainable, model, loss or CrossEntropy(), precision, World(CPU), None, str)
    world = Agreeing(CPU)
    object.__setattr__(world, "others", others)
    return DryRun.of(
        world, step, Predictor(model, CPU, precision), channels=1, size=(size, size), evaluated_size=(size, size + 1),
        num_classes=2, accumulate=accumulate,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("least", "most", "numbers"),
    [
        (1, 64, [1, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64]),
        (2, 13, [2, 4, 6, 8, 12]), (1, 1, [1]), (2, 1, [2]), (2, 3, [2]), (2, 40, [2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40]),
    ],
)  # fmt: skip
def test_batches_are_chosen_from_few_numbers(least: int, most: int, numbers: list[int]) -> None:
    assert batch_sizes(least, most) == numbers


def test_the_largest_that_fits_is_found_with_few_trials() -> None:
    numbers = batch_sizes(1, 64)
    for limit in range(66):
        tried: list[int] = []
        found = largest(numbers, lambda images, limit=limit, tried=tried: tried.append(images) or images <= limit)  # type: ignore[misc, func-returns-value]
        assert found == max((number for number in numbers if number <= limit), default=None)
        assert len(tried) == len(set(tried)) <= 8


@pytest.mark.parametrize(("most", "numbers"), [(8, [1, 2, 4, 8]), (6, [1, 2, 3, 6]), (7, [1, 2, 4, 7]), (1, [1])])
def test_a_batch_that_does_not_fit_is_halved(most: int, numbers: list[int]) -> None:
    assert halvings(most) == numbers


@pytest.mark.parametrize(("memory", "micro_batch"), [(99, 6), (6, 6), (5, 3), (2, 2), (1, 1)])
def test_the_micro_batch_is_the_largest_part_of_a_batch_that_fits_in_two_steps(memory: int, micro_batch: int) -> None:
    model = Small(memory)
    assert fitting_micro_batch(dry_run(model), 6) == micro_batch
    assert model.seen[-2:] == [(True, micro_batch)] * 2
    assert all(parameter.grad is None for parameter in model.parameters())


def test_two_steps_are_tried_for_the_second_has_the_optimizers_state() -> None:
    class SecondStep(Small):
        """Memory for two images once the optimizer has its state."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if self.training and optimizer.state and len(images) > 2:
                raise FULL
            return super().forward(images)

    model = SecondStep(99)
    run = dry_run(model)
    optimizer = run.step.trainable.optimizer
    assert fitting_micro_batch(run, 8) == 2


def test_all_processes_agree_on_the_smallest() -> None:
    assert fitting_micro_batch(dry_run(Small(99), 12, 1, 4, 2), 8) == 2
    assert fitting_evaluation_batch(dry_run(Small(99), 12, 1, 4, None), 8) == 1
    assert fitting_batch(dry_run(Small(99), 12, 1, 4), [2, 4, 6], 10**12) == 4


@pytest.mark.parametrize("others", [(), (None,)])
def test_where_a_single_image_does_not_fit_every_process_says_so(others: tuple[Any, ...]) -> None:
    model = Small(99 if others else 0)
    with pytest.raises(
        RunError, match="out of memory: a training step with a single image doesn't fit; close other programs"
    ):
        fitting_micro_batch(dry_run(model, 12, 1, *others), 4)


@pytest.mark.parametrize(("memory", "images"), [(99, 16), (16, 16), (9, 8), (1, 1), (0, 1)])
def test_the_evaluation_batch_is_tried_as_well(memory: int, images: int) -> None:
    model = Small(99, memory)
    run = dry_run(model)
    run.training_bytes(2)
    assert fitting_evaluation_batch(run, 16) == images
    assert next(seen for training, seen in model.seen if not training) == 16
    assert not torch.is_inference(model.layer.weight)


def test_memory_that_something_else_will_need_is_kept_free_meanwhile() -> None:
    taken: list[int] = []

    class Watching(Small):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            taken.append(sum(t.numel() for t in tensors()))
            return super().forward(images)

    def tensors() -> list[torch.Tensor]:
        import gc

        return [each for each in gc.get_objects() if type(each) is torch.Tensor and each.numel() == 7 * MB]

    run = dry_run(Watching(99))
    object.__setattr__(run, "reserved_bytes", 7 * MB)
    assert run.training_bytes(2) is not None
    assert taken == [7 * MB] * 2
    assert not tensors()


def test_a_trial_counts_weights_optimizer_and_inner_maps() -> None:
    run = dry_run(Wide(), size=64)
    two, six = run.training_bytes(2), run.training_bytes(6)
    assert two is not None
    assert six is not None
    held = 3 * 4 * 500_000  # weights and both of AdamW's averages
    assert held + 2 * MB < two < held + 30 * MB
    assert 4 * MB < six - two < 60 * MB
    assert held_bytes(run.step.trainable) > held
    assert fitting_batch(run, [2, 6], two) in (2, None)
    assert fitting_batch(run, [2, 6], 100 * MB) == 6


def test_two_of_the_batches_of_a_step_are_tried() -> None:
    model = Small(4)
    run = dry_run(model, accumulate=5)
    assert run.training_bytes(4) is not None
    assert run.training_bytes(6) is None
    assert [images for _, images in model.seen] == [4, 4, 4, 4, 6]


def test_where_the_system_does_not_report_memory_auto_asks_for_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PeakMemory, "peak", lambda self: None)
    with pytest.raises(RunError) as raised:
        fitting_batch(dry_run(Small(99)), [2], 10**12)
    assert str(raised.value) == (
        "training.batch_size: auto: memory use of a step is reported by CUDA only, not by this system; set a number"
    )
    assert fitting_micro_batch(dry_run(Small(99)), 4) == 4


def test_other_errors_of_a_step_are_not_taken_for_too_little_memory() -> None:
    model = Small(99)
    model.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        dry_run(model).training_bytes(2)


def test_a_loss_that_is_not_finite_on_random_images_does_not_end_the_dry_run() -> None:
    class Bad(nn.Module):
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return (logits * 0).sum().sqrt() / 0

    assert fitting_micro_batch(dry_run(Small(4), loss=Bad()), 8) == 4


def test_a_step_in_micro_batches_is_that_of_the_whole_batch(tmp_path: Path) -> None:
    def run(micro_batch: int | None) -> tuple[list[float], nn.Module]:
        p = problem(tmp_path / str(micro_batch), model=Small(99), batch_size=6, epochs=2, micro_batch=micro_batch)
        events = list(fit(p.step, p.stream, p.settings, p.paths, evaluator=p.evaluator))
        assert {seen for training, seen in p.step.network.seen if training} == {micro_batch or 6}
        return [event.loss for event in events if isinstance(event, StepDone)], p.step.network

    whole, model = run(None)
    for micro_batch in (3, 2, 1):
        losses, parts = run(micro_batch)
        assert losses == pytest.approx(whole, rel=1e-5)
        for a, b in zip(parts.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_largest_pass_of_evaluation_is_a_whole_image_or_a_tile() -> None:
    assert evaluated_size([(100, 300), (200, 200), (10, 900)]) == (200, 200)
    assert evaluated_size([(100, 300), (5000, 5000)]) == (1024, 1024)


def test_batch_normalisation_that_is_fixed_learns_nothing() -> None:
    class Fixed(nn.BatchNorm2d):
        def train(self, mode: bool = True) -> Fixed:
            return super().train(False)

    assert learns_statistics(network())
    assert not learns_statistics(nn.Sequential(Fixed(3)))


def test_operations_without_a_deterministic_implementation_are_named() -> None:
    import warnings

    said = (
        "adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but you set "
        "'torch.use_deterministic_algorithms(True, warn_only=True)'."
    )

    def work() -> set[str]:
        with nondeterministic_operations() as found:
            for text in (said, said, "another warning"):
                warnings.warn(text, UserWarning, stacklevel=1)
        return found

    with pytest.warns(UserWarning, match="another warning") as passed_on:
        found = work()
    assert len(passed_on) == 1
    assert found == {"adaptive_avg_pool2d_backward_cuda"}


@pytest.mark.gpu
def test_adaptive_pooling_on_a_gpu_is_named_as_not_deterministic() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with nondeterministic_operations() as found:
            x = torch.rand(1, 2, 7, 7, device="cuda", requires_grad=True)
            nn.functional.adaptive_avg_pool2d(x, 3).sum().backward()
    finally:
        torch.use_deterministic_algorithms(before)
    assert found == {"adaptive_avg_pool2d_backward_cuda"}
