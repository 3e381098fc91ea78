"""Checks of optimizers: they minimise a quadratic, accept parameter groups, and resume exactly from a state_dict."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from segengine.testing.networks import seeded
from segengine.testing.subject import Check, Subject

_STEPS = 30


def lowers_a_quadratic(subject: Subject) -> Iterator[str]:
    """The optimizer decreases a quadratic, and starts with its peak learning rate."""
    import torch

    weight, bias, optimizer = _problem(subject)
    if not isinstance(optimizer, torch.optim.Optimizer):
        yield f"build() returns {type(optimizer).__name__}; return a torch.optim.Optimizer"
        return
    peak = subject.component.peak_learning_rate
    rates = sorted({group["lr"] for group in optimizer.param_groups})
    if rates != [peak]:
        yield f"parameter groups have learning rates {rates}, but peak_learning_rate is {peak}; schedules require them to be equal"
    decays = optimizer.param_groups[1].get("weight_decay", 0.0)
    if decays != 0:
        yield f"the group with weight_decay 0 has {decays}; pass the parameter groups on unchanged"
    start = _stepped(weight, bias, optimizer, 1)
    end = _stepped(weight, bias, optimizer, _STEPS)
    if not end < start:
        yield f"a quadratic changes from {start:.6g} to {end:.6g} in {_STEPS} steps; it must decrease with the default settings"


def _problem(subject: Subject) -> tuple[Any, Any, Any]:
    import torch

    with seeded(0):
        weight, bias = (torch.nn.Parameter(torch.randn(*shape)) for shape in ((4, 3), (4,)))
    groups: list[dict[str, Any]] = [{"params": [weight]}, {"params": [bias], "weight_decay": 0.0}]
    return weight, bias, subject.component.build(parameters=groups, fused=False)


def _stepped(weight: Any, bias: Any, optimizer: Any, steps: int) -> float:
    """Run `steps` steps; the value of the quadratic before the last one."""
    value = float("nan")
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((weight - 2.0) ** 2).sum() + ((bias + 1.0) ** 2).sum()
        loss.backward()
        optimizer.step()
        value = float(loss.detach())
    return value


def resumes_exactly(subject: Subject) -> Iterator[str]:
    """An optimizer restored from its state_dict takes exactly the same steps."""
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
        yield "steps differ after loading the state_dict; store everything that affects a step in optimizer.state"


CHECKS: tuple[Check, ...] = (lowers_a_quadratic, resumes_exactly)
