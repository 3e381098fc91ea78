"""Surface metrics against plain loops over pixels, on masks drawn by hypothesis."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import label

from segengine.metrics.boundary import boundary_iou
from segengine.metrics.calibration import calibration_error
from segengine.metrics.pairs import ImagePair as Pair
from segengine.metrics.skeleton import cl_dice, skeleton
from segengine.metrics.surface import assd, hausdorff, nsd, surface_distances

IGNORE = 255
Classes = NDArray[np.uint8]
shapes = st.tuples(st.integers(1, 13), st.integers(1, 13))
spacings = st.sampled_from([(1.0, 1.0), (0.1, 0.1), (2.5, 0.7)])


def image_pair(truth: Classes, predicted: Classes, num_classes: int, *rest: object, **more: object) -> Pair:
    return Pair(truth, predicted, num_classes, tuple(range(num_classes)), *rest, **more)  # type: ignore[arg-type]


def drawn(seed: int, shape: tuple[int, int], num_classes: int = 3) -> tuple[Classes, Classes]:
    """Truth and prediction: coarse blobs, noise, classes that one of them lacks, ignored pixels."""
    rng = np.random.default_rng(seed)

    def classes() -> Classes:
        present = rng.permutation(num_classes)[: rng.integers(1, num_classes + 1)]
        step = int(rng.integers(1, 6))
        coarse = rng.choice(present, (-(-shape[0] // step), -(-shape[1] // step)))
        return np.kron(coarse, np.ones((step, step), int))[: shape[0], : shape[1]].astype(np.uint8)

    truth, predicted = classes(), classes()
    truth[rng.random(shape) < rng.choice([0, 0.05, 0.3])] = IGNORE
    return truth, predicted


def masks(truth: Classes, predicted: Classes, k: int) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    places = [(y, x) for y in range(truth.shape[0]) for x in range(truth.shape[1]) if truth[y, x] != IGNORE]
    return {p for p in places if truth[p] == k}, {p for p in places if predicted[p] == k}


def border(mask: set[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(y, x) for y, x in mask if not {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} <= mask]


def distances(a: list[tuple[int, int]], b: list[tuple[int, int]], spacing: tuple[float, float]) -> list[float]:
    return [min(math.hypot((y - v) * spacing[0], (x - u) * spacing[1]) for v, u in b) for y, x in a]


def percentile(values: list[float], q: float) -> float:
    ordered, place = sorted(values), q / 100 * (len(values) - 1)
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 10**6), shape=shapes, spacing=spacings, tolerance=st.sampled_from([0.3, 1.0, 2.5]))
def test_surface_distances_equal_plain_loops_over_all_pairs_of_pixels(
    seed: int, shape: tuple[int, int], spacing: tuple[float, float], tolerance: float
) -> None:
    truth, predicted = drawn(seed, shape)
    pair = image_pair(truth, predicted, 3, spacing)
    found = {"hd": hausdorff(pair, 100), "hd95": hausdorff(pair, 95), "assd": assd(pair), "nsd": nsd(pair, tolerance)}
    for k in range(3):
        t, p = (border(mask) for mask in masks(truth, predicted, k))
        expected = dict.fromkeys(found, math.nan)
        if t and p:
            there, back = distances(t, p, spacing), distances(p, t, spacing)
            both = there + back
            expected = {
                "hd": max(both),
                "hd95": max(percentile(there, 95), percentile(back, 95)),
                "assd": sum(both) / len(both),
                "nsd": sum(d <= tolerance + 1e-9 for d in both) / len(both),
            }
        elif t or p:
            expected["nsd"] = 0.0
        for name, values in found.items():
            np.testing.assert_allclose(values[k], expected[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("spacing", "hd", "hd95", "mean", "near"),
    [
        ((1.0, 1.0), 8.94427190999916, 7.4982909800597195, 2.9646890069322294, 0.506578947368421),
        ((0.7, 1.3), 10.022474744293447, 9.207062506576133, 2.819046029278358, 0.5394736842105263),
    ],
)
def test_a_disc_and_a_box_have_the_distances_that_medpy_finds(
    spacing: tuple[float, float], hd: float, hd95: float, mean: float, near: float
) -> None:
    """Figures from medpy 0.5.2: hd, assd, and of its surface distances percentiles by direction and the share up to 2."""
    y, x = np.mgrid[:40, :50]
    truth, predicted = np.hypot(y - 20, x - 22) < 12, (np.abs(y - 22) < 9) & (np.abs(x - 26) < 15)
    pair = image_pair(truth.astype(np.uint8), predicted.astype(np.uint8), 2, spacing)
    found = [hausdorff(pair, 100)[1], hausdorff(pair, 95)[1], assd(pair)[1], nsd(pair, 2)[1]]
    np.testing.assert_allclose(found, [hd, hd95, mean, near], rtol=1e-12)


def test_both_ways_to_distances_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(20):
        truth, predicted = drawn(seed, (60, 50), 2)
        for spacing in ((1.0, 1.0), (0.3, 1.7)):
            each = []
            for area in (0, 10**9):
                monkeypatch.setattr("segengine.metrics.surface._TREE_PAYS", area)
                pair = image_pair(truth, predicted, 2, spacing)
                if pair.state(1) == "both":
                    found = surface_distances(pair, 1)
                    each.append((found.from_truth, found.from_predicted))
            for tree, transform in zip(*each, strict=True) if each else ():
                np.testing.assert_allclose(tree, transform, rtol=1e-14)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 10**6), shape=shapes, ratio=st.sampled_from([0.02, 0.1, 0.25]))
def test_boundary_iou_equals_erosion_pixel_by_pixel(seed: int, shape: tuple[int, int], ratio: float) -> None:
    truth, predicted = drawn(seed, shape)
    steps = max(1, round(ratio * math.hypot(*shape)))

    def near(mask: set[tuple[int, int]]) -> set[tuple[int, int]]:
        inner = mask
        for _ in range(steps):
            inner = {(y, x) for y, x in inner if all((y + i, x + j) in inner for i in (-1, 0, 1) for j in (-1, 0, 1))}
        return mask - inner

    values = boundary_iou(image_pair(truth, predicted, 3), ratio)
    for k in range(3):
        t, p = (near(mask) for mask in masks(truth, predicted, k))
        expected = len(t & p) / len(t | p) if t | p else math.nan
        np.testing.assert_allclose(values[k], expected, rtol=1e-12)


def thinned(mask: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Guo & Hall's algorithm A1, pixel by pixel."""
    mask = set(mask)
    while True:
        changed = False
        for first in (True, False):
            gone = set()
            for y, x in mask:
                steps = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
                p2, p3, p4, p5, p6, p7, p8, p9 = ((y + i, x + j) in mask for i, j in steps)
                parts = [not p2 and (p3 or p4), not p4 and (p5 or p6), not p6 and (p7 or p8), not p8 and (p9 or p2)]
                n1 = (p9 or p2) + (p3 or p4) + (p5 or p6) + (p7 or p8)
                n2 = (p2 or p3) + (p4 or p5) + (p6 or p7) + (p8 or p9)
                kept = (p2 or p3 or not p5) and p4 if first else (p6 or p7 or not p9) and p8
                if sum(parts) == 1 and 2 <= min(n1, n2) <= 3 and not kept:
                    gone.add((y, x))
            mask -= gone
            changed |= bool(gone)
        if not changed:
            return mask


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 10**6), shape=shapes)
def test_cl_dice_equals_thinning_as_the_paper_writes_it(seed: int, shape: tuple[int, int]) -> None:
    truth, predicted = drawn(seed, shape)
    values = cl_dice(image_pair(truth, predicted, 3))
    for k in range(3):
        t, p = masks(truth, predicted, k)
        expected = math.nan if not t | p else 0.0
        if t and p:
            line_t, line_p = thinned(t), thinned(p)
            precision, sensitivity = len(line_p & t) / len(line_p), len(line_t & p) / len(line_t)
            if precision + sensitivity:
                expected = 2 * precision * sensitivity / (precision + sensitivity)
        np.testing.assert_allclose(values[k], expected, rtol=1e-12)


def test_a_skeleton_is_thin_connected_and_inside() -> None:
    y, x = np.mgrid[:60, :80]
    ring = (np.hypot(y - 30, x - 40) < 25) & (np.hypot(y - 30, x - 40) > 17)
    lines = skeleton(ring)
    assert not (lines & ~ring).any()
    assert 100 < lines.sum() < 150  # one pixel wide around a circle of radius 21
    for seed in range(30):
        mask = np.pad(drawn(seed, (30, 40), 2)[1] == 1, 1)
        lines = skeleton(mask)
        eight = np.ones((3, 3))
        assert label(lines, eight)[1] == label(mask, eight)[1]  # no part vanishes or breaks
        assert label(~lines)[1] == label(~mask)[1]  # no hole closes or opens


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), shape=shapes, bins=st.sampled_from([1, 5, 15]), height=st.integers(1, 5))
def test_calibration_error_equals_a_plain_loop_however_the_rows_are_cut(
    seed: int, shape: tuple[int, int], bins: int, height: int
) -> None:
    truth, _ = drawn(seed, shape)
    logits = 3 * np.random.default_rng(seed).standard_normal((3, *shape))
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=0)).astype(np.float32)
    probabilities[:, 0, 0] = (0, 1, 0)  # the last bin holds 1

    def bands() -> list[NDArray[np.float32]]:
        return [probabilities[:, top : top + height] for top in range(0, shape[0], height)]

    pair = image_pair(truth, probabilities.argmax(axis=0).astype(np.uint8), 3, probabilities=bands)
    places = [p for p in np.ndindex(shape) if truth[p] != IGNORE]
    expected = 0.0
    for b in range(bins):
        inside = [p for p in places if b / bins < probabilities[(slice(None), *p)].max() <= (b + 1) / bins]
        if inside:
            right = sum(probabilities[(slice(None), *p)].argmax() == truth[p] for p in inside) / len(inside)
            sure = sum(float(probabilities[(slice(None), *p)].max()) for p in inside) / len(inside)
            expected += len(inside) / len(places) * abs(right - sure)
    np.testing.assert_allclose(calibration_error(pair, bins), expected if places else math.nan, rtol=1e-9, atol=1e-12)


def test_ignored_pixels_and_the_outside_of_the_image_are_outside_of_every_class() -> None:
    truth = np.zeros((9, 9), np.uint8)
    truth[:, 4:] = 1
    truth[:, 6] = IGNORE
    predicted = np.ones((9, 9), np.uint8)
    predicted[:, :4] = 0
    pair = image_pair(truth, predicted, 2)
    assert hausdorff(pair, 100)[1] == 0  # both end where ignored pixels begin, whatever was predicted there
    other = predicted.copy()
    other[:, 6] = 0
    assert nsd(image_pair(truth, other, 2), 0)[1] == 1
    whole = image_pair(np.ones((5, 7), np.uint8), np.ones((5, 7), np.uint8), 2)
    assert len(surface_distances(whole, 1).from_truth) == 2 * 5 + 2 * 7 - 4  # the image's border is the class's surface


def test_a_class_in_one_of_the_two_has_no_distance_and_no_overlap() -> None:
    empty, full = np.zeros((6, 6), np.uint8), np.ones((6, 6), np.uint8)
    for truth, predicted, state in (
        (empty, full, "prediction only"),
        (full, empty, "truth only"),
        (empty, empty, "neither"),
    ):
        pair = image_pair(truth, predicted, 2)
        assert pair.state(1) == state
        assert np.isnan([hausdorff(pair, 95)[1], assd(pair)[1]]).all()
        overlaps = [nsd(pair, 2)[1], boundary_iou(pair, 0.02)[1], cl_dice(pair)[1]]
        assert np.isnan(overlaps).all() if state == "neither" else overlaps == [0, 0, 0]
