"""Checks of schedules: a factor in 0..1 at each step for any number of steps, and an increasing warm-up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from segengine.testing.subject import Check, Subject

_TOTALS = (1, 2, 10, 137)


def factors_are_shares(subject: Subject) -> Iterator[str]:
    """The factor is a finite number in 0..1 at every step, and not 0 at all of them."""
    for total in _TOTALS:
        factors = [subject.component.factor(step, total) for step in range(total + 1)]
        wrong = next((step for step, f in enumerate(factors) if not (math.isfinite(f) and 0 <= f <= 1)), None)
        if wrong is not None:
            yield f"the factor at step {wrong} of {total} is {factors[wrong]}; return a fraction of the peak rate, 0..1"
            return
        if not any(factors[:total]):
            yield f"the factor is 0 at all of {total} steps; return a positive factor for at least one step"
            return


def warm_up_rises(subject: Subject) -> Iterator[str]:
    """With a field `warmup` (fraction of the steps), the factor increases at each step of the warm-up from a small value."""
    if "warmup" not in subject.cls.model_fields:
        return
    warm = subject.cls.model_validate({**subject.parameters, "warmup": 0.2})
    factors = [warm.factor(step, 100) for step in range(21)]  # type: ignore[attr-defined]
    if not all(a < b for a, b in pairwise(factors)) or not 0 < factors[0] < 0.5:
        yield (
            f"with warmup 0.2 the factor changes from {factors[0]:.3g} to {factors[20]:.3g} over 20 of 100 steps; increase it "
            "at each step, from below 0.5"
        )


def drives_an_optimizer(subject: Subject) -> Iterator[str]:
    """build() returns a scheduler that sets the learning rate to the peak rate times the factor at each step."""
    import torch

    peak, total = 0.5, 10
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler = subject.component.build(optimizer=optimizer, total_steps=total)
    for step in range(total):
        rate, wanted = optimizer.param_groups[0]["lr"], peak * subject.component.factor(step, total)
        if not math.isclose(rate, wanted, rel_tol=1e-6, abs_tol=1e-12):
            yield f"the learning rate at step {step} is {rate:.6g}, by factor() it is {wanted:.6g}; use factor() in build()"
            return
        optimizer.step()
        scheduler.step()


CHECKS: tuple[Check, ...] = (factors_are_shares, warm_up_rises, drives_an_optimizer)
