import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segengine.data.masks.labels import class_colour, make_labels
from segengine.data.masks.mappers import ColourMapper, GrayMapper
from segengine.data.masks.mapping import IGNORE, Label, MaskEncoding, MaskSurvey, ValueFound
from segengine.errors import DataError


def gray(values, ignored=(), bits=8, **options):
    labels = tuple(Label(i, str(v), v, (0, 0, 0)) for i, v in enumerate(values))
    return GrayMapper(labels, tuple(ignored), MaskEncoding("gray", bits), **options)


def rgb(values, ignored=(), **options):
    labels = tuple(Label(i, str(v), v, v) for i, v in enumerate(values))
    return ColourMapper(labels, tuple(ignored), MaskEncoding("rgb", 8, channels=3), **options)


def survey(values, encoding=None):
    found = {v: ValueFound(10, 1, "a.png", 10) for v in values}
    return MaskSurvey(encoding or MaskEncoding(), found, Path("/data"))


@given(st.lists(st.integers(0, 65535), min_size=2, max_size=20, unique=True), st.integers(0, 9))
def test_values_come_back_as_they_were(values, seed):
    mapper = gray(values, bits=16)
    raw = np.random.default_rng(seed).choice(np.array(values, np.uint16), (5, 7))
    classes = mapper.to_classes(raw)
    assert classes.dtype == np.uint8
    assert classes.max() < len(values)
    assert np.array_equal(mapper.to_raw(classes), raw)


def test_non_consecutive_values_become_consecutive_classes():
    mapper = gray([0, 63, 126, 189, 252])
    raw = np.array([[252, 0], [63, 126]], np.uint8)
    assert mapper.to_classes(raw).tolist() == [[4, 0], [1, 2]]


def test_an_unknown_value_names_file_value_pixels_and_the_nearest():
    raw = np.array([[0, 60, 60, 7, 63]], np.uint8)
    with pytest.raises(DataError) as error:
        gray([0, 63, 126]).to_classes(raw, where="masks/a.png")
    assert str(error.value) == (
        "masks/a.png: 2 pixels with value 60 (and 1 other unknown value), neither a class nor ignored; "
        "the nearest known value is 63; add 60 to values or ignore in data.mask_mapper"
    )


def test_a_16_bit_value_never_wraps():
    with pytest.raises(DataError, match="1 pixel with value 319"):
        gray([0, 63]).to_classes(np.array([[0, 63 + 256]], np.uint16))


def test_ignored_values_become_255_and_come_back():
    mapper = gray([0, 1], ignored=[255])
    classes = mapper.to_classes(np.array([[0, 255, 1]], np.uint8))
    assert classes.tolist() == [[0, IGNORE, 1]]
    assert mapper.to_raw(classes).tolist() == [[0, 255, 1]]
    assert gray([5, 9]).to_raw(np.array([[IGNORE]], np.uint8)).tolist() == [[5]]


def test_repair_takes_the_nearest_value_and_ties_go_down():
    mapper = gray([0, 100, 255], repair=True)
    assert mapper.to_classes(np.array([[0, 49, 50, 51, 177, 178, 255]], np.uint8)).tolist() == [[0, 0, 0, 1, 1, 2, 2]]


def test_a_coloured_mask_is_refused_by_a_gray_mapper():
    with pytest.raises(DataError, match=r"a\.png: the mask has colours"):
        gray([0, 1]).to_classes(np.zeros((2, 2, 3), np.uint8), where="a.png")


def test_colours_come_back_and_unknown_ones_are_named():
    mapper = rgb([(0, 0, 0), (255, 0, 0), (0, 255, 0)], ignored=[(9, 9, 9)])
    raw = np.array([[(255, 0, 0), (0, 255, 0), (9, 9, 9), (0, 0, 0)]], np.uint8)
    assert mapper.to_classes(raw).tolist() == [[1, 2, 255, 0]]
    assert np.array_equal(mapper.to_raw(mapper.to_classes(raw)), raw)
    with pytest.raises(
        DataError, match=r"a\.png: 1 pixel with value \[250, 1, 0\].*nearest known value is \[255, 0, 0\]"
    ):
        mapper.to_classes(np.array([[(250, 1, 0)]], np.uint8), where="a.png")


def test_a_mask_with_gray_colours_only_fits_a_colour_mapper():
    mapper = rgb([(0, 0, 0), (255, 255, 255)])
    assert mapper.to_classes(np.array([[0, 255]], np.uint8)).tolist() == [[0, 1]]


def test_colour_repair_takes_the_nearest_colour():
    mapper = rgb([(0, 0, 0), (255, 0, 0)], repair=True)
    assert mapper.to_classes(np.array([[(20, 5, 0), (200, 9, 9), (255, 0, 0)]], np.uint8)).tolist() == [[0, 1, 1]]


def test_mappers_travel_to_worker_processes():
    raw = np.array([[0, 63]], np.uint8)
    assert pickle.loads(pickle.dumps(gray([0, 63]))).to_classes(raw).tolist() == [[0, 1]]


def test_names_and_values_must_be_as_many():
    with pytest.raises(DataError) as error:
        make_labels([0, 63, 126], ["background", "liver"], survey([0, 63, 126]))
    assert str(error.value) == (
        "/data: masks have 3 values but data.classes has 2 names: 0 (33.3 % of the pixels): background, 63 (33.3 % of the pixels): "
        "liver, 126 (33.3 % of the pixels): no name; name each of them in data.classes, or add values that are not classes to ignore"
    )
    with pytest.raises(DataError, match=r"remove names from data.classes, or list the values of all classes"):
        make_labels([0, 63], ["a", "b", "c"], survey([0, 63]))


def test_names_are_the_raw_values_where_none_are_given():
    assert [label.name for label in make_labels([0, 63], None, survey([0, 63]))] == ["0", "63"]
    assert [label.name for label in make_labels([(1, 2, 3), (4, 5, 6)], None, survey([]))] == ["1,2,3", "4,5,6"]


def test_colours_are_the_palettes_own_else_all_different():
    palette = ((0, 0, 0), (128, 0, 0))
    labels = make_labels([0, 1], None, survey([0, 1], MaskEncoding("palette", 8, palette)))
    assert [label.colour for label in labels] == list(palette)
    colours = {class_colour(i, background=i == 0) for i in range(60)}
    assert len(colours) == 60
