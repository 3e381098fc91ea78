"""The boundary loss against scipy's distances, as in the paper's code, and against all pairs of pixels."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from segengine.nn.losses import Boundary, signed_distances

IGNORE = 255


def blobs(seed, *, ignored=False):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 3, (4, 5)).repeat(4, 0).repeat(3, 1).astype(np.int64)
    if ignored:
        target[rng.random(target.shape) < 0.2] = IGNORE
    return target


def papers(target, num_classes):
    """one_hot2dist of the paper's repository, for a target without ignored pixels."""
    maps = np.zeros((num_classes, *target.shape))
    for k in range(num_classes):
        inside = target == k
        if inside.any():
            outside = ~inside
            maps[k] = distance_transform_edt(outside) * outside - (distance_transform_edt(inside) - 1) * inside
    return maps


def plain(target, k):
    """Signed distances by comparing all pairs of pixels."""
    places = np.stack(np.mgrid[: target.shape[0], : target.shape[1]], -1).astype(float)
    found = np.zeros(target.shape)
    inside, other = target == k, (target != k) & (target != IGNORE)
    if not inside.any() or not other.any():
        return found
    for at in zip(*np.nonzero(target != IGNORE), strict=True):
        sign, wanted = (-1, other) if inside[at] else (1, inside)
        nearest = np.sqrt(((places[wanted] - places[at]) ** 2).sum(-1)).min()
        found[at] = sign * (nearest - (1 if inside[at] else 0))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_those_of_the_papers_code(seed):
    target = blobs(seed)
    np.testing.assert_allclose(signed_distances(target, 4, IGNORE), papers(target, 4), atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_ignored_pixels_are_on_no_side_of_an_outline(seed):
    target = blobs(seed, ignored=True)
    expected = np.stack([plain(target, k) for k in range(3)])
    np.testing.assert_allclose(signed_distances(target, 3, IGNORE), expected, atol=1e-4)


def test_a_class_without_an_outline_has_no_distances():
    target = np.full((6, 6), 1)
    target[0] = IGNORE
    assert not signed_distances(target, 3, IGNORE).any()


def test_the_loss_is_the_mean_over_valid_pixels_and_classes():
    target = np.stack([blobs(0, ignored=True), blobs(1)])
    logits = torch.randn(2, 3, *target.shape[1:], generator=torch.Generator().manual_seed(0))
    maps = np.stack([[plain(image, k) for k in range(3)] for image in target])
    expected = (logits.softmax(1).numpy() * maps).sum() / (target != IGNORE).sum() / 3
    assert float(Boundary(3, IGNORE)(logits, torch.from_numpy(target))) == pytest.approx(expected, rel=1e-4)


def test_a_mistake_far_from_the_outline_costs_more_than_one_beside_it():
    target = torch.zeros(1, 9, 9, dtype=torch.int64)
    target[:, :, :2] = 1
    logits = 8.0 * torch.nn.functional.one_hot(target, 2).permute(0, 3, 1, 2)

    def cost(column):
        wrong = logits.clone()
        wrong[:, :, 4, column] = wrong[:, [1, 0], 4, column]
        return float(Boundary(2, IGNORE)(wrong, target))

    assert cost(8) > cost(5) > cost(2) > float(Boundary(2, IGNORE)(logits, target))
