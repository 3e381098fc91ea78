"""Operations on regions: what they change, and what they leave alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from segengine.data.masks import regions

maps = arrays(
    np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 0, 1, 1, 2, 255])
)


def drawn(*rows: str) -> NDArray[np.uint8]:
    """A class map from digits; `x` is ignored."""
    return np.array([[255 if c == "x" else int(c) for c in row] for row in rows], np.uint8)


def test_the_largest_component_stays_and_others_get_the_class_around_them() -> None:
    before = drawn("0110001", "0110000", "0000222", "0000212", "0000222")
    after = drawn("0110000", "0110000", "0000222", "0000222", "0000222")
    assert np.array_equal(regions.largest_components(before, [1], keep=1), after)
    assert np.array_equal(regions.largest_components(before, [2], keep=1), before)
    assert np.array_equal(regions.largest_components(before, [1], keep=3), before)


def test_of_equal_components_the_upper_left_one_stays() -> None:
    assert np.array_equal(regions.largest_components(drawn("10101"), [1], keep=1), drawn("10000"))


def test_small_components_go_and_diagonal_neighbours_are_one_component() -> None:
    before = drawn("100001", "010000", "001000", "000000")
    assert np.array_equal(regions.remove_small(before, [1], pixels=3), drawn("100000", "010000", "001000", "000000"))
    assert np.array_equal(regions.remove_small(before, [1], pixels=1), before)
    assert not regions.remove_small(before, [1], pixels=4).any()


def test_holes_are_filled_unless_they_are_large_or_open_or_hold_two_classes() -> None:
    before = drawn("1111111", "1011021", "1111111", "0111111", "1110011")
    assert np.array_equal(
        regions.fill_holes(before, [1], pixels=9), drawn("1111111", "1111021", "1111111", "0111111", "1110011")
    )
    hole = drawn("11111", "10001", "11111")
    assert np.array_equal(regions.fill_holes(hole, [1], pixels=2), hole)
    assert (regions.fill_holes(hole, [1], pixels=3) == 1).all()
    assert np.array_equal(
        regions.fill_holes(drawn("1111", "10x1", "1111"), [1], pixels=9), drawn("1111", "10x1", "1111")
    )


def test_smoothing_is_a_majority_vote_and_ties_keep_the_class() -> None:
    assert np.array_equal(regions.smooth(drawn("000", "010", "000"), radius=1), drawn("000", "000", "000"))
    straight = drawn("0011", "0011", "0011", "0011")
    assert np.array_equal(regions.smooth(straight, radius=1), straight)


@pytest.mark.parametrize(("first", "second"), [("left", "right"), ("above", "below")])
def test_a_class_stays_on_its_side_of_another(first: regions.Side, second: regions.Side) -> None:
    before, one, other = (drawn(row, "0000000") for row in ("1000201", "1000200", "0000201"))
    if first == "above":
        before, one, other = before.T.copy(), one.T, other.T
    assert np.array_equal(regions.keep_where(before, 1, first, 2), one)
    assert np.array_equal(regions.keep_where(before, 1, second, 2), other)


def test_sides_of_the_image_and_of_an_absent_class() -> None:
    before = drawn("1001", "0000", "1000")
    assert np.array_equal(regions.keep_where(before, 1, "left", None), drawn("1000", "0000", "1000"))
    assert np.array_equal(regions.keep_where(before, 1, "above", None), drawn("1001", "0000", "0000"))
    assert np.array_equal(regions.keep_where(before, 1, "right", 2), before)


def test_a_class_stays_inside_another_only() -> None:
    before = drawn("22200", "21200", "22201")
    assert np.array_equal(regions.keep_where(before, 1, "inside", 2), drawn("22200", "21200", "22200"))


@settings(max_examples=150, deadline=None)
@given(maps)
def test_components_are_those_of_scipy(classes: NDArray[np.uint8]) -> None:
    labels, count = ndimage.label(classes == 1, np.ones((3, 3)))
    expected = sorted(np.bincount(labels.ravel(), minlength=count + 1)[1:].tolist())
    assert sorted(each.pixels for each in regions.components(classes, 1)) == expected
    assert all(each.mask.sum() == each.pixels for each in regions.components(classes, 1))


@settings(max_examples=150, deadline=None)
@given(maps)
def test_smoothing_agrees_with_counting(classes: NDArray[np.uint8]) -> None:
    found = regions.smooth(classes, radius=1)
    height, width = classes.shape
    for row in range(height):
        for column in range(width):
            square = classes[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
            votes = np.bincount(square.ravel(), minlength=256)[:255]
            own = classes[row, column]
            expected = own if own == 255 or votes[own] == votes.max() else votes.argmax()
            assert found[row, column] == expected


@settings(max_examples=100, deadline=None)
@given(maps)
def test_no_step_changes_its_input_or_ignored_pixels(classes: NDArray[np.uint8]) -> None:
    steps = [
        lambda found: regions.largest_components(found, [1, 2], keep=1),
        lambda found: regions.remove_small(found, [1, 2], pixels=3),
        lambda found: regions.fill_holes(found, [0, 1, 2], pixels=9),
        lambda found: regions.smooth(found, radius=2),
        lambda found: regions.keep_where(found, 1, "inside", 2),
    ]
    before = classes.copy()
    for step in [*steps, regions.in_order(steps)]:
        found = step(classes)
        assert np.array_equal(classes, before)
        assert np.array_equal(found == 255, classes == 255)
        assert set(np.unique(found)) <= {0, 1, 2, 255}


def test_steps_that_give_other_ignored_pixels_are_corrected() -> None:
    classes = drawn("0x1")
    assert np.array_equal(regions.in_order([np.zeros_like])(classes), drawn("0x0"))
    assert np.array_equal(regions.in_order([lambda found: np.full_like(found, 255)])(classes), classes)
