"""What an optimizer promises: it lowers a quadratic, takes parameter groups, and goes on exactly where it stopped."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from segengine.testing.networks import seeded
from segengine.testing.subject import Check, Subject

_STEPS = 30


def lowers_a_quadratic(subject: Subject) -> Iterator[str]:
    """An optimizer lowers a quadratic in some steps, and starts at its peak learning rate."""
    import torch

    weight, bias, optimizer = _problem(subject)
    if not isinstance(optimizer, torch.optim.Optimizer):
        yield f"build() gives {type(optimizer).__name__}; give a torch.optim.Optimizer"
        return
    peak = subject.component.peak_learning_rate
    rates = sorted({group["lr"] for group in optimizer.param_groups})
    if rates != [peak]:
        yield f"groups start at the learning rates {rates}, and peak_learning_rate is {peak}; schedules need them equal"
    decays = optimizer.param_groups[1].get("weight_decay", 0.0)
    if decays != 0:
        yield f"the group with weight_decay 0 has {decays}; pass the parameter groups on as they are given"
    start = _stepped(weight, bias, optimizer, 1)
    end = _stepped(weight, bias, optimizer, _STEPS)
    if not end < start:
        yield f"a quadratic goes from {start:.6g} to {end:.6g} in {_STEPS} steps; it must fall with the default settings"


def _problem(subject: Subject) -> tuple[Any, Any, Any]:
    import torch

    with seeded(0):
        weight, bias = (torch.nn.Parameter(torch.randn(*shape)) for shape in ((4, 3), (4,)))
    groups: list[dict[str, Any]] = [{"params": [weight]}, {"params": [bias], "weight_decay": 0.0}]
    return weight, bias, subject.component.build(parameters=groups, fused=False)


def _stepped(weight: Any, bias: Any, optimizer: Any, steps: int) -> float:
    """The quadratic before the last of `steps` steps."""
    value = float("nan")
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((weight - 2.0) ** 2).sum() + ((bias + 1.0) ** 2).sum()
        loss.backward()
        optimizer.step()
        value = float(loss.detach())
    return value


def goes_on_where_it_stopped(subject: Subject) -> Iterator[str]:
    """Restored from its state_dict it takes exactly the steps that it would have taken."""
    import torch

    weight, bias, optimizer = _problem(subject)
    _stepped(weight, bias, optimizer, 3)
    other_weight, other_bias, other = _problem(subject)
    with torch.no_grad():
        other_weight.copy_(weight)
        other_bias.copy_(bias)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # loading alone would share tensors
    _stepped(weight, bias, optimizer, 3)
    _stepped(other_weight, other_bias, other, 3)
    if not torch.equal(weight, other_weight):
        yield "a resumed run would differ: keep all that decides a step in optimizer.state"


CHECKS: tuple[Check, ...] = (lowers_a_quadratic, goes_on_where_it_stopped)
