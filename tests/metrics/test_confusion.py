"""Counts and scores against a plain triple loop, and the cases where scores are commonly got wrong."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import SCORES, MetricPolicy, as_row, evaluate_counts, scores_of
from tests.metrics.reference import confusion


def four_scores(table):
    """Scores by class of one confusion table."""
    counts = np.asarray(table)
    return scores_of(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1), counts.sum(-2))


def evaluated(tables):
    """Scores of images whose tables are given by index."""
    return evaluate_counts(
        ImageCounts.of({i: np.array(t) for i, t in tables.items()}, len(next(iter(tables.values()))))
    )


def plain(truths, predictions, classes):
    """Everything by loops over images, classes and pixels; None is undefined."""

    def four(t, a, b):
        return {
            "precision": t / b if b else None,
            "recall": t / a if a else None,
            "iou": t / (a + b - t) if a + b else None,
            "dice": 2 * t / (a + b) if a + b else None,
        }

    pooled, per_image, images = [], [], []
    for k in range(classes):
        total = [0, 0, 0]
        each = {m: [] for m in SCORES}
        occurs = 0
        for truth, predicted in zip(truths, predictions, strict=True):
            found = [0, 0, 0]
            for x, y in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
                if x == 255 or y == 255:
                    continue
                found[0] += x == k and y == k
                found[1] += x == k
                found[2] += y == k
            total = [s + f for s, f in zip(total, found, strict=True)]
            occurs += found[1] > 0
            for metric, value in four(*found).items():
                if value is not None:
                    each[metric].append(value)
        pooled.append(four(*total))
        per_image.append({m: sum(v) / len(v) if v else None for m, v in each.items()})
        images.append(occurs)
    return pooled, per_image, images


def same(value, expected):
    return math.isnan(value) if expected is None else value == pytest.approx(expected, abs=1e-12)


@st.composite
def cases(draw):
    classes = draw(st.integers(2, 6))
    present = draw(st.lists(st.integers(0, classes - 1), min_size=1, unique=True))
    count = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = [(int(rng.integers(1, 6)), int(rng.integers(1, 6))) for _ in range(count)]
    values = [*present, *([255] if draw(st.booleans()) else [])]
    truths = [rng.choice(values, s).astype(np.uint8) for s in shapes]
    guesses = [*range(classes), *([255] if draw(st.booleans()) else [])]
    return classes, truths, [rng.choice(guesses, s).astype(np.uint8) for s in shapes]


@given(cases())
@settings(max_examples=150, deadline=None)
def test_scores_equal_a_plain_triple_loop(case):
    classes, truths, predictions = case
    scores = evaluated(
        {7 * i: confusion(t, p, classes) for i, (t, p) in enumerate(zip(truths, predictions, strict=True))}
    )
    pooled, per_image, images = plain(truths, predictions, classes)
    for k in range(classes):
        for name in SCORES:
            assert same(scores.pooled[name][k], pooled[k][name])
            assert same(scores.per_image[name][k], per_image[k][name])
    assert scores.images.tolist() == images
    assert scores.total_images == len(truths)
    for name in SCORES:
        defined = [pooled[k][name] for k in range(1, classes) if pooled[k][name] is not None]
        assert same(scores.mean(range(1, classes), score=name), sum(defined) / len(defined) if defined else None)


def test_a_class_in_neither_truth_nor_prediction_is_undefined_and_left_out_of_the_mean():
    scores = evaluated({0: [[5, 0, 0], [0, 3, 0], [0, 0, 0]]})
    for name in SCORES:
        assert math.isnan(scores.pooled[name][2])
        assert scores.mean([0, 1, 2], score=name) == 1.0


def test_an_absent_class_does_not_lift_the_mean_iou():
    # Counting the absent class as 1.0 would give .667 here; the mean over the defined classes is .5.
    assert evaluated({0: [[2, 2, 0], [0, 2, 0], [0, 0, 0]]}).mean([0, 1, 2], score="iou") == pytest.approx(0.5)


def test_precision_is_undefined_where_never_predicted_and_recall_where_not_in_the_truth():
    scores = four_scores([[0, 4, 0], [0, 0, 0], [0, 1, 3]])
    assert math.isnan(scores["precision"][0])
    assert scores["recall"][0] == scores["dice"][0] == 0.0
    assert math.isnan(scores["recall"][1])
    assert scores["precision"][1] == scores["iou"][1] == 0.0


def test_leaving_background_out_of_the_mean_still_counts_what_is_predicted_on_it():
    # Ignoring class 0 in the counts would turn IoU into recall: 1.0 here.
    scores = evaluated({0: [[6, 2], [0, 2]]})
    assert scores.mean([1], score="iou") == pytest.approx(0.5)
    assert scores.mean([1], score="recall") == 1.0


def test_pooled_and_per_image_dice_differ_and_both_are_given():
    scores = evaluated({0: [[90, 0], [0, 910]], 1: [[95, 4], [1, 0]], 2: [[100, 0], [0, 0]]})
    assert scores.mean([1]) == pytest.approx(2 * 910 / (911 + 914))
    assert scores.mean([1], per_image=True) == pytest.approx(0.5)  # 1.0 and 0.0; undefined in the third image
    assert scores.images.tolist() == [3, 2]


def test_an_image_that_wrongly_has_the_class_predicted_scores_zero_there():
    assert four_scores([[[3, 1], [0, 0]], [[0, 0], [0, 4]]])["dice"][:, 1].tolist() == [0.0, 1.0]


def test_the_row_has_null_for_undefined_and_names_the_classes_of_the_mean():
    names = ["background", "liver", "spleen"]
    policy = MetricPolicy(("liver", "spleen"), ("background",))
    row = as_row(evaluated({4: [[5, 1, 0], [0, 2, 0], [0, 0, 0]]}), names, policy)
    assert row["images"] == 1
    assert row["mean"]["over"] == ["liver", "spleen"]
    assert row["mean"]["dice"] == row["mean"]["dice_per_image"] == pytest.approx(4 / 5)
    assert row["classes"]["spleen"] == {
        "precision": None, "recall": None, "iou": None, "dice": None, "iou_per_image": None, "dice_per_image": None,
        "pixels": 0, "images": 0,
    }  # fmt: skip
