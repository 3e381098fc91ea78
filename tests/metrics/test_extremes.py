import math

import pytest

from segengine.metrics.extremes import Extremes, extremes


def test_few_classes_are_all_shown():
    assert extremes([0.5] * 30) is None


def test_of_many_classes_the_ten_worst_and_ten_best_are_shown_worst_first():
    values = [((7 * i) % 150) / 150 for i in range(150)]
    found = extremes(values)
    assert [values[i] * 150 for i in found.worst] == pytest.approx(range(10))
    assert [values[i] * 150 for i in found.best] == pytest.approx(range(140, 150))
    assert found.left_out == "... 130 classes between"


def test_of_distances_the_largest_are_the_worst():
    assert extremes([float(i) for i in range(100)], lower_is_better=True).worst == tuple(range(99, 89, -1))


def test_undefined_classes_are_counted_and_never_worst():
    values = [None, math.nan, *([0.5] * 40)]
    found = extremes(values)
    assert {0, 1} & {*found.worst, *found.best} == set()
    assert found.left_out == "... 20 classes between and 2 without a value"


def test_no_class_is_shown_twice():
    assert extremes([None] * 40 + [0.1, 0.2, 0.3]) == Extremes((40, 41, 42), (), 0, 40)
    found = extremes([None] * 40 + [i / 20 for i in range(15)])
    assert len(found.worst) + len(found.best) == len({*found.worst, *found.best}) == 15
