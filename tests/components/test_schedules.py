"""Learning-rate schedules against torch's own."""

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from segengine.components.schedules import OneCycle


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
