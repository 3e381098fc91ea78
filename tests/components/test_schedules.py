"""Learning-rate schedules against torch's own."""

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR, PolynomialLR

from segengine.components.schedules import Constant, Cosine, OneCycle, Poly, StepDecay


def torchs_own(schedule: type[LRScheduler], steps: int, **settings) -> list[float]:
    """The rates of `steps` steps from a peak of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference, rates = schedule(optimizer, **settings), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    return rates


def test_cosine_poly_and_step_are_those_of_torch():
    for ours, theirs in (
        (Cosine(), torchs_own(CosineAnnealingLR, 41, T_max=40)),
        (Cosine(final=0.1), torchs_own(CosineAnnealingLR, 41, T_max=40, eta_min=0.1)),
        (Poly(), torchs_own(PolynomialLR, 41, total_iters=40, power=0.9)),
        (Poly(power=2), torchs_own(PolynomialLR, 41, total_iters=40, power=2)),
        (StepDecay(milestones=(0.5, 0.75), gamma=0.2), torchs_own(MultiStepLR, 41, milestones=[20, 30], gamma=0.2)),
        (Constant(), [1.0] * 41),
    ):
        assert [ours.factor(step, 40) for step in range(41)] == pytest.approx(theirs, abs=1e-9), ours


@pytest.mark.parametrize("schedule", [Cosine, Poly, StepDecay, Constant])
def test_a_warm_up_is_a_straight_line_to_the_peak_and_the_shape_follows_it(schedule):
    factors = [schedule(warmup=0.2).factor(step, 50) for step in range(51)]
    assert factors[:11] == pytest.approx([(step + 1) / 11 for step in range(11)])
    assert factors[10:] == pytest.approx([schedule().factor(step, 40) for step in range(41)])


@pytest.mark.parametrize("total", [10, 37, 200])
@pytest.mark.parametrize("warmup", [0.1, 0.3, 0.5])
def test_one_cycle_is_that_of_torch_one_step_longer(total, warmup):
    peak, schedule = 0.7, OneCycle(warmup=warmup)
    warm_steps = round(warmup * total)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    reference = OneCycleLR(
        optimizer, max_lr=peak, total_steps=total + 1, pct_start=(warm_steps + 1) / (total + 1), cycle_momentum=False
    )
    for step in range(total + 1):
        assert peak * schedule.factor(step, total) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        if step < total:
            reference.step()


def test_one_cycle_starts_at_start_peaks_after_the_warm_up_and_ends_at_final():
    schedule = OneCycle(warmup=0.25, start=0.1, final=0.01)
    factors = [schedule.factor(step, 80) for step in range(81)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[20] == 1
    assert factors[80] == pytest.approx(0.01)


def test_one_cycle_without_warm_up_only_falls():
    factors = [OneCycle(warmup=0).factor(step, 20) for step in range(21)]
    assert factors[0] == 1
    assert factors == sorted(factors, reverse=True)
