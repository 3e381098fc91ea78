"""Each loss against a plain Python loop, with ignored pixels and absent classes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segengine.nn.losses import CrossEntropy, Focal, LovaszSoftmax, Tversky, median_frequency_weights

IGNORE = 255
WEIGHTS = (0.5, 2.0, 1.0, 3.0)
K = 4


def case(seed, batch=2, height=3, width=4):
    """Random logits and a target with ignored pixels, in which class 2 never and class 3 sometimes occurs."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(batch, K, height, width, generator=generator)
    values = torch.tensor([0, 1, 3, IGNORE] if seed % 2 else [0, 1, 1, IGNORE])
    target = values[torch.randint(0, 4, (batch, height, width), generator=generator)]
    if seed % 5 == 0:
        target[0] = IGNORE
    return logits, target


def softmax(values):
    largest = max(values)
    powers = [math.exp(v - largest) for v in values]
    return [p / sum(powers) for p in powers]


def pixels(logits, target):
    """One (probabilities, class) for each valid pixel of each image."""
    images = []
    for image, truth in zip(logits.tolist(), target.tolist(), strict=True):
        found = []
        for y, row in enumerate(truth):
            for x, value in enumerate(row):
                if value != IGNORE:
                    found.append((softmax([plane[y][x] for plane in image]), value))
        images.append(found)
    return images


def loop_cross_entropy(logits, target, weights=(1.0,) * K, smoothing=0.0):
    everything = [p for image in pixels(logits, target) for p in image]
    total = 0.0
    for probabilities, value in everything:
        for k in range(K):
            share = smoothing / K + (1 - smoothing if k == value else 0.0)
            total -= share * weights[k] * math.log(probabilities[k])
    return total / max(1, len(everything))


def loop_focal(logits, target, gamma, weights=(1.0,) * K):
    everything = [p for image in pixels(logits, target) for p in image]
    total = 0.0
    for probabilities, value in everything:
        p = probabilities[value]
        total -= weights[value] * (1 - p) ** gamma * math.log(p)
    return total / max(1, len(everything))


def regions(logits, target, over):
    images = pixels(logits, target)
    return images if over == "image" else [[p for image in images for p in image]]


def loop_overlap(logits, target, *, alpha, beta, over, absent):
    losses = []
    for region in regions(logits, target, over):
        for k in range(K):
            tp = sum(p[k] for p, value in region if value == k)
            fp = sum(p[k] for p, value in region if value != k)
            fn = sum(1 - p[k] for p, value in region if value == k)
            if any(value == k for _, value in region):
                losses.append(1 - tp / (tp + alpha * fp + beta * fn))
            elif absent == "penalise" and region:
                losses.append(fp / len(region))
    return sum(losses) / max(1, len(losses))


def loop_lovasz(logits, target, over):
    """Berman et al., algorithm 1 and equations 8 and 11: the sorted errors times the steps of the Jaccard loss."""
    by_region = []
    for region in regions(logits, target, over):
        losses = []
        for k in {value for _, value in region}:
            ranked = sorted(((1 - p[k] if v == k else p[k], v == k) for p, v in region), key=lambda e: -e[0])
            true, loss, before = sum(t for _, t in ranked), 0.0, 0.0
            for end in range(1, len(ranked) + 1):
                wrong = ranked[:end]
                missed, added = sum(t for _, t in wrong), sum(not t for _, t in wrong)
                jaccard_loss = 1 - (true - missed) / (true + added)
                loss += ranked[end - 1][0] * (jaccard_loss - before)
                before = jaccard_loss
            losses.append(loss)
        if losses:
            by_region.append(sum(losses) / len(losses))
    return sum(by_region) / max(1, len(by_region))


CASES = range(10)


@pytest.mark.parametrize("seed", CASES)
@pytest.mark.parametrize(("weights", "smoothing"), [(None, 0.0), (WEIGHTS, 0.0), (None, 0.2), (WEIGHTS, 0.1)])
def test_cross_entropy_equals_a_plain_loop(seed, weights, smoothing):
    logits, target = case(seed)
    found = CrossEntropy(K, IGNORE, weights=weights, label_smoothing=smoothing)(logits, target)
    assert float(found) == pytest.approx(loop_cross_entropy(logits, target, weights or (1.0,) * K, smoothing), rel=1e-5)


@pytest.mark.parametrize("seed", CASES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_equals_a_plain_loop(seed, gamma, weights):
    logits, target = case(seed)
    found = Focal(K, IGNORE, gamma=gamma, weights=weights)(logits, target)
    assert float(found) == pytest.approx(loop_focal(logits, target, gamma, weights or (1.0,) * K), rel=1e-4)


@pytest.mark.parametrize("seed", CASES)
@pytest.mark.parametrize("over", ["batch", "image"])
@pytest.mark.parametrize("absent", ["penalise", "skip"])
@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (1.0, 1.0), (0.3, 0.7)])
def test_dice_jaccard_and_tversky_equal_a_plain_loop(seed, alpha, beta, over, absent):
    logits, target = case(seed)
    found = Tversky(K, IGNORE, alpha=alpha, beta=beta, over=over, absent=absent)(logits, target)
    assert float(found) == pytest.approx(
        loop_overlap(logits, target, alpha=alpha, beta=beta, over=over, absent=absent), rel=1e-4
    )


@pytest.mark.parametrize("seed", CASES)
@pytest.mark.parametrize("over", ["batch", "image"])
def test_lovasz_equals_a_plain_loop(seed, over):
    logits, target = case(seed)
    found = LovaszSoftmax(K, IGNORE, over=over)(logits, target)
    assert float(found) == pytest.approx(loop_lovasz(logits, target, over), rel=1e-4, abs=1e-6)


ALL = {
    "cross-entropy": CrossEntropy(K, IGNORE),
    "weighted": CrossEntropy(K, IGNORE, weights=WEIGHTS, label_smoothing=0.1),
    "focal": Focal(K, IGNORE, gamma=0.5, weights=WEIGHTS),
    "dice": Tversky(K, IGNORE, alpha=0.5, beta=0.5),
    "dice by image": Tversky(K, IGNORE, alpha=0.5, beta=0.5, over="image", absent="skip"),
    "tversky": Tversky(K, IGNORE, alpha=0.0, beta=1.0),
    "lovasz": LovaszSoftmax(K, IGNORE),
    "lovasz by image": LovaszSoftmax(K, IGNORE, over="image"),
}
each_loss = pytest.mark.parametrize("loss", ALL.values(), ids=ALL)


@each_loss
def test_a_batch_without_a_valid_pixel_gives_zero_and_gradients_of_zero(loss):
    logits = torch.randn(2, K, 3, 3, requires_grad=True)
    value = loss(logits, torch.full((2, 3, 3), IGNORE))
    value.backward()
    assert float(value.detach()) == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@each_loss
def test_what_stands_at_ignored_pixels_has_no_influence(loss):
    logits, target = case(3)
    logits.requires_grad_()
    before = loss(logits, target)
    before.backward()
    ignored = (target == IGNORE)[:, None].expand_as(logits)
    assert float(logits.grad[ignored].abs().max()) == 0.0
    after = loss(torch.where(ignored, 100 * torch.randn_like(logits), logits), target)
    assert float(after.detach()) == pytest.approx(float(before.detach()), rel=1e-5)


@pytest.mark.parametrize("name", [name for name in ALL if name != "weighted"])  # smoothing punishes certainty
def test_certain_and_right_predictions_cost_nothing_and_their_gradient_is_finite(name):
    loss = ALL[name]
    target = torch.tensor([[[0, 1], [3, IGNORE]]])
    logits = torch.full((1, K, 2, 2), -200.0)
    for y, x in ((0, 0), (0, 1), (1, 0)):
        logits[0, target[0, y, x], y, x] = 200.0
    logits.requires_grad_()
    value = loss(logits, target)
    value.backward()
    assert float(value.detach()) == pytest.approx(0.0, abs=1e-5)
    assert logits.grad.isfinite().all()


@each_loss
def test_gradients_are_finite_where_predictions_are_certain_and_wrong(loss):
    logits = torch.full((1, K, 2, 2), -200.0)
    logits[:, 2] = 200.0
    logits.requires_grad_()
    value = loss(logits, torch.tensor([[[0, 1], [3, IGNORE]]]))
    value.backward()
    assert float(value.detach()) > 0.5
    assert logits.grad.isfinite().all()


@each_loss
def test_bfloat16_logits_are_summed_in_float32(loss):
    logits, target = case(1)
    assert loss(logits.bfloat16(), target).dtype == torch.float32


@each_loss
def test_a_target_out_of_range_is_caught_on_the_cpu(loss):
    with pytest.raises(AssertionError, match=r"outside 0\.\.3: \[-1, 7\]"):
        loss(torch.zeros(1, K, 1, 3), torch.tensor([[[7, -1, 0]]]))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 5))
def test_gradients_accumulated_over_parts_are_those_of_the_whole_batch(seed, cut):
    logits, target = case(seed, batch=6)
    whole = logits.clone().requires_grad_()
    loss = CrossEntropy(K, IGNORE, weights=WEIGHTS)
    loss(whole, target).backward()
    parts = logits.clone().requires_grad_()
    valid = int((target != IGNORE).sum())
    for part in (slice(0, cut), slice(cut, 6)):
        share = int((target[part] != IGNORE).sum()) / valid
        (loss(parts[part], target[part]) * share).backward()
    torch.testing.assert_close(parts.grad, whole.grad, rtol=1e-4, atol=1e-7)


def test_predicting_a_class_that_the_batch_lacks_costs_more_and_is_pushed_down():
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    logits = torch.zeros(1, K, 8, 8)
    logits[:, 0] = 8.0
    wrong = logits.clone()
    wrong[:, 2, :4] = 9.0
    wrong.requires_grad_()
    dice = Tversky(K, IGNORE, alpha=0.5, beta=0.5)
    value = dice(wrong, target)
    value.backward()
    assert float(value.detach()) > float(dice(logits, target)) + 0.1
    assert float(wrong.grad[:, 2, :4].min()) > 1e-4


def test_a_class_that_the_batch_lacks_can_be_left_out_of_the_mean():
    logits, target = torch.zeros(1, K, 2, 1), torch.zeros(1, 2, 1, dtype=torch.int64)
    dice = Tversky(K, IGNORE, alpha=0.5, beta=0.5, absent="skip")
    assert float(dice(logits, target)) == pytest.approx(1 - 2 * 0.5 / (0.5 + 2))


def test_median_frequency_weights_are_those_of_the_formula():
    assert median_frequency_weights([100, 400, 200]) == (2.0, 0.5, 1.0)
    assert median_frequency_weights([100, 0, 300]) == (2.0, 1.0, 200 / 300)
    assert median_frequency_weights([0, 0]) == (1.0, 1.0)


def test_lovasz_gradients_keep_their_digits_in_large_batches() -> None:
    """Against Berman's formula in float64, whose differences of neighbouring Jaccard losses cancel in float32."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 384, 384, generator=generator)
    target = torch.randint(3, (2, 384, 384), generator=generator)

    def reference(x: torch.Tensor) -> torch.Tensor:
        losses = []
        for k in range(3):
            probability, truth = x.softmax(1)[:, k].flatten(), (target == k).flatten().double()
            errors, order = (truth - probability).abs().sort(descending=True, stable=True)
            truth = truth[order]
            jaccard = 1 - (truth.sum() - truth.cumsum(0)) / (truth.sum() + (1 - truth).cumsum(0))
            losses.append((errors * torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])).sum())
        return torch.stack(losses).mean()

    double, single = logits.double().requires_grad_(), logits.clone().requires_grad_()
    expected, found = reference(double), LovaszSoftmax(3, 255)(single, target)
    expected.backward()
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    wrong = ((single.grad.double() - double.grad) / double.grad.abs().clamp(min=1e-30)).abs()
    assert float(wrong.median()) < 1e-5
    assert float(wrong.quantile(0.99)) < 1e-3
