"""Online hard example mining against a plain loop over the pixels."""

import math

import pytest
import torch

from segengine.nn.losses import CrossEntropy, HardPixels

IGNORE = 255
WEIGHTS = (0.5, 2.0, 1.0)


def case(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 3, 5, 7, generator=generator)
    values = torch.tensor([0, 1, 2, IGNORE])
    return logits, values[torch.randint(0, 4, (2, 5, 7), generator=generator)]


def plain(logits, target, threshold, least, weights=None):
    costs = []
    for image, truth in zip(logits.double(), target, strict=True):
        for row in range(truth.shape[0]):
            for column in range(truth.shape[1]):
                k = int(truth[row, column])
                if k != IGNORE:
                    p = float(torch.softmax(image[:, row, column], 0)[k])
                    costs.append((p, -math.log(p) * (weights[k] if weights else 1.0)))
    costs.sort(key=lambda pair: pair[0])
    number = math.ceil(least * len(costs))
    hard = [cost for i, (p, cost) in enumerate(costs) if i < number or p < threshold]
    return sum(hard) / len(hard)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("threshold", "least"), [(0.7, 0.0625), (0.0, 0.3), (0.2, 0.5), (1.0, 0.01), (0.05, 0.001)])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_it_is_the_mean_over_the_hard_pixels(seed, threshold, least, weights):
    logits, target = case(seed)
    loss = HardPixels(3, IGNORE, threshold=threshold, least=least, weights=weights)
    assert float(loss(logits, target)) == pytest.approx(plain(logits, target, threshold, least, weights), rel=1e-5)


def test_with_every_pixel_kept_it_is_cross_entropy():
    logits, target = case(0)
    expected = CrossEntropy(3, IGNORE)(logits, target)
    torch.testing.assert_close(HardPixels(3, IGNORE, threshold=0.5, least=1.0)(logits, target), expected)


def test_easy_and_ignored_pixels_have_no_gradient():
    logits, target = case(1)
    logits.requires_grad_()
    HardPixels(3, IGNORE, threshold=0.4, least=0.01)(logits, target).backward()
    p = logits.detach().softmax(1).gather(1, target.clamp(max=2)[:, None])[:, 0]
    easy = (target == IGNORE) | (p > 0.4)
    assert easy.any()
    assert not logits.grad.abs().sum(1)[easy].any()
    assert logits.grad.abs().sum(1)[~easy].all()
