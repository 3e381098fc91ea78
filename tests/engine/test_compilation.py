"""When the network is compiled, and what a failing compiler costs: one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from segengine.engine.checkpoint import weights_hash
from segengine.engine.compilation import StepTimer, compiled, decide
from segengine.engine.distributed import World
from segengine.engine.precision import pick_precision
from segengine.nn.replicating import ReplicatingConv2d
from tests.engine.tiny import CPU, CrossEntropy, network

GPU = torch.device("cuda")


def step_timer(model: nn.Module) -> StepTimer:
    return StepTimer(model, CrossEntropy(), pick_precision("fp32", CPU), CPU, 1, (8, 12), 2)


LONG = "training takes about {} s uncompiled, 20% of that is {} than the 120 s that compiling takes"
SIZES = "training images differ in size, and each size would need its own compilation"


@pytest.mark.parametrize(
    ("asked", "seconds", "expected"),
    [
        ((True, CPU, (8, 8)), 0, (True, "training.compile: true")),
        ((True, GPU, None), 0, (False, SIZES)),
        ((False, GPU, (8, 8)), 1e6, (False, "training.compile: false")),
        (
            ("auto", CPU, (8, 8)),
            1e6,
            (False, "on a CPU most of the time is spent in convolutions, which compilation doesn't speed up"),
        ),
        (("auto", GPU, None), 1e6, (False, SIZES)),
        (("auto", GPU, (8, 8)), 500, (False, LONG.format(500, "not more"))),
        (("auto", GPU, (8, 8)), 3600, (True, LONG.format(3600, "more"))),
    ],
)
def test_auto_compiles_where_training_is_long_enough_on_a_gpu_and_says_why(
    asked: Any, seconds: float, expected: tuple[bool, str]
) -> None:
    decision = decide(*asked, lambda: seconds)
    assert (decision.used, decision.why) == expected


def test_a_step_timer_leaves_no_trace() -> None:
    model = network().eval()
    before, generator = weights_hash(model), torch.get_rng_state()
    assert step_timer(model).seconds(3, steps=2) > 0
    assert weights_hash(model) == before
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training


def test_a_compiler_that_fails_costs_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: nn.Module, **options: Any) -> nn.Module:
        class Broken(nn.Module):
            def forward(self, images: torch.Tensor) -> torch.Tensor:
                raise RuntimeError("CppCompileError: C++ compile error\n\ncommand: g++ ...")

        return Broken()

    monkeypatch.setattr(torch, "compile", broken)
    model = network()
    before = weights_hash(model)
    assert compiled(step_timer(model), 2, World(CPU)) == (
        None,
        "RuntimeError: CppCompileError: C++ compile error command: g++ ...",
    )
    assert weights_hash(model) == before


def test_too_little_memory_is_no_failure_of_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda model, **options: _Hungry())
    with pytest.raises(torch.OutOfMemoryError):
        compiled(step_timer(network()), 2, World(CPU))


class _Hungry(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.slow
def test_a_compiled_step_gives_the_gradients_of_a_plain_one_channels_last(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), ReplicatingConv2d(8, 2))
    model = model.to(memory_format=torch.channels_last)
    network, reason = compiled(step_timer(_Float(model)), 2, World(CPU))
    assert reason == ""
    assert network is not None
    images = torch.randint(256, (2, 8, 12, 1), dtype=torch.uint8).permute(0, 3, 1, 2)
    gradients = []
    for each in (_Float(model), network):
        model.zero_grad()
        each(images).square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])  # type: ignore[union-attr]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


class _Float(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.model(images.float() / 255)
        return result


def test_the_head_is_a_plain_convolution_bit_for_bit() -> None:
    torch.manual_seed(1)
    plain, ours = nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate"), ReplicatingConv2d(3, 4)
    ours.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 5, 6)
    assert torch.equal(plain(x), ours(x))
