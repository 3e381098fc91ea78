"""Counts of many images kept as their non-zero cells, and the array that scores are made from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import evaluate_counts
from segengine.metrics.stacked import stacked_of_rows


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(2, 5))
@settings(max_examples=60, deadline=None)
def test_sparse_counts_equal_dense_ones(seed, images, classes):
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, 3, (images, classes, classes)) * rng.integers(0, 50, (images, classes, classes))
    counts = ImageCounts.of({int(i): dense[i] for i in rng.permutation(images)}, classes)
    assert np.array_equal(counts.total(), dense.sum(0))
    expected = np.stack([np.diagonal(dense, axis1=1, axis2=2), dense.sum(2), dense.sum(1)], axis=1)
    assert np.array_equal(counts.stacked(), expected)
    rows = rng.permutation(np.array(list(counts.rows()), np.int64).reshape(-1, 4))
    assert np.array_equal(stacked_of_rows(rows, range(images), classes), expected)
    order = rng.permutation(images)
    assert np.array_equal(stacked_of_rows(rows, order.tolist(), classes), expected[order])


def test_more_than_two_to_the_31_pixels_are_counted_exactly():
    big = 2**53 + 1  # not even a double holds this
    counts = ImageCounts.of({i: np.array([[big, 0], [1, 2**31]]) for i in range(4)}, 2)
    assert counts.total().tolist() == [[4 * big, 0], [4, 2**33]]
    assert counts.stacked().sum(0).tolist() == [[4 * big, 2**33], [4 * big, 4 + 2**33], [4 * big + 4, 2**33]]
    assert evaluate_counts(counts).pixels.tolist() == [4 * big, 4 + 2**33]


def test_a_table_added_later_doesnt_change_what_was_read():
    counts = ImageCounts.of({3: np.array([[1, 2], [0, 4]])}, 2)
    counts.add(5, np.zeros((2, 2), np.int64))
    assert counts.indices == [3, 5]
    assert counts[3].tolist() == [[1, 2], [0, 4]]
    assert counts[5].sum() == 0


def test_no_images_give_undefined_scores():
    scores = evaluate_counts(ImageCounts(3))
    assert np.isnan(scores.mean([0, 1, 2]))
    assert np.isnan(scores.mean([0, 1, 2], per_image=True))
    assert scores.total_images == 0


@pytest.mark.parametrize("indices", [[], [0, 1], [2, 4]])
def test_a_row_of_an_image_that_was_not_asked_for_is_refused(indices):
    with pytest.raises(ValueError, match="not one of the requested images"):
        stacked_of_rows(np.array([[3, 0, 0, 9]]), indices, 2)


def test_a_row_of_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="not one of the 2 classes"):
        stacked_of_rows(np.array([[3, 0, 2, 9]]), [3], 2)
