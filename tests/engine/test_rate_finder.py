"""The learning-rate range test on problems whose best rate is known."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from segengine.data.batches.batch import Batch
from segengine.engine.precision import pick_precision
from segengine.engine.rate_finder import RateTest, Tried, rates_between, suggested
from tests.engine.tiny import CPU, CrossEntropy, network


def test_the_steepest_fall_is_suggested() -> None:
    rates = rates_between(1e-7, 10, 200)
    tried = [Tried(rate, 0.0, 1 / (1 + math.exp(3 * math.log(rate / 1e-3)))) for rate in rates]
    tried += [Tried(20, 0.0, 5.0)]
    rate = suggested(tried)
    assert rate is not None
    assert 0.8e-3 < rate < 1.25e-3


def test_nothing_is_suggested_where_the_loss_never_falls() -> None:
    assert suggested([Tried(rate, 1.0, rate) for rate in rates_between(1e-5, 1, 50)]) is None
    assert suggested([]) is None


def batches() -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(0)
    while True:
        images = torch.randint(256, (4, 1, 12, 12), dtype=torch.uint8, generator=generator)
        yield Batch(images, (images[:, 0] > 127).to(torch.uint8), torch.arange(4))


def test_the_test_raises_the_rate_and_ends_where_training_falls_apart() -> None:
    model = network()
    optimizer = torch.optim.SGD([{"params": list(model.parameters())}], lr=1.0)
    test = RateTest(model, optimizer, CrossEntropy(), pick_precision("fp32", CPU), CPU)
    tried = test.run(batches(), rates_between(1e-5, 1e5, 120))
    assert len(tried) < 120
    assert [each.rate for each in tried] == pytest.approx(rates_between(1e-5, 1e5, 120)[: len(tried)])
    rate = suggested(tried)
    assert rate is not None
    assert 1e-4 < rate < 100


def test_groups_keep_the_ratio_of_their_rates() -> None:
    fast, slow = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([{"params": [fast]}, {"params": [slow], "lr": 0.1}], lr=1.0)
    RateTest(network(), optimizer, CrossEntropy(), pick_precision("fp32", CPU), CPU).run(batches(), [1e-3, 1e-2])
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-2, 1e-3])
