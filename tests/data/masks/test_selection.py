"""Classes that are merged and dropped by their names, in every mapper, and back in predictions and run.json."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from segengine.building.labels import StoredMapping, mapping_facts
from segengine.components.mask_mappers import Foreground, GrayIndex, Index, Palette, Rgb
from segengine.data.masks.mapping import IGNORE, MaskEncoding, MaskSurvey, ValueFound
from segengine.errors import DataError

NAMES = ["background", "car", "pole", "truck", "person"]
PALETTE = tuple((i, i, i) for i in range(256))


def survey(values, encoding=None):
    found = {v: ValueFound(1000, 1, "a.png", 1000) for v in values}
    return MaskSurvey(encoding or MaskEncoding(), found, Path("/data"))


def colour(i):
    return (i * 40, 0, 0)


SETTINGS = {"merge": {"vehicle": ("car", "truck"), "background": ("background", "pole")}, "drop": ("person",)}
MAPPERS = {
    "gray-index": (GrayIndex(values=(0, 50, 100, 150, 200), **SETTINGS), [0, 50, 100, 150, 200], MaskEncoding()),
    "index": (Index(**SETTINGS), [0, 1, 2, 3, 4], MaskEncoding()),
    "palette": (Palette(**SETTINGS), [0, 1, 2, 3, 4], MaskEncoding("palette", 8, PALETTE)),
    "rgb": (Rgb(colours={name: colour(i) for i, name in enumerate(NAMES)}, **SETTINGS), [colour(i) for i in range(5)],
            MaskEncoding("rgb", 8, None, ".png", 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MAPPERS))
def test_merged_classes_are_one_and_dropped_ones_are_ignored(name):
    component, values, encoding = MAPPERS[name]
    mapper = component.build(classes=NAMES, found=survey(values, encoding))
    assert [label.name for label in mapper.labels] == ["background", "vehicle"]
    raw = np.array([values], np.uint8)
    assert mapper.to_classes(raw).tolist() == [[0, 1, 0, 1, IGNORE]]
    back = mapper.to_raw(np.array([[0, 1, IGNORE]], np.uint8))
    assert back.tolist() == np.array([[values[0], values[1], values[4]]]).tolist(), (
        "the first of the merged classes' value"
    )
    said = " ".join(mapper.notes)
    assert "car, truck are vehicle; predictions have the value" in said
    assert "pixels of person are ignored" in said


@pytest.mark.parametrize("name", sorted(MAPPERS))
def test_run_json_keeps_what_was_merged(name):
    component, values, encoding = MAPPERS[name]
    mapper = component.build(classes=NAMES, found=survey(values, encoding))
    stored = StoredMapping(mapping_facts(mapper))
    raw = np.array([values], np.uint8)
    np.testing.assert_array_equal(stored.to_classes(raw, where=""), mapper.to_classes(raw))
    assert "merged" not in mapping_facts(Index().build(classes=NAMES, found=survey([0, 1, 2, 3, 4])))


def test_the_merged_class_has_the_place_of_its_first_and_the_value_of_the_first_in_its_list():
    mapper = Index(merge={"vehicle": ("truck", "car")}).build(classes=NAMES, found=survey([0, 1, 2, 3, 4]))
    assert [(label.name, label.raw) for label in mapper.labels] == [
        ("background", 0),
        ("vehicle", 3),
        ("pole", 2),
        ("person", 4),
    ]
    assert mapper.to_classes(np.array([[1, 3]], np.uint8)).tolist() == [[1, 1]]


def test_repair_moves_to_merged_values_too():
    mapper = GrayIndex(values=(0, 50, 100, 150, 200), repair="nearest", merge={"vehicle": ("car", "truck")})
    built = mapper.build(classes=NAMES, found=survey([0, 50, 100, 150, 200]))
    assert built.to_classes(np.array([[52, 148, 99]], np.uint8)).tolist() == [[1, 1, 2]]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"merge": {"vehicle": ("car", "trucks")}}, r"merge.vehicle: 'trucks' is not a class; did you mean 'truck'\?"),
        ({"drop": ("sky",)}, "drop: 'sky' is not a class; classes: background, car, pole, truck, person"),
        ({"merge": {"a": ("car",), "b": ("car", "truck")}}, "'car' is merged or dropped twice"),
        ({"merge": {"vehicle": ("car",)}, "drop": ("car",)}, "'car' is merged or dropped twice"),
        ({"merge": {"pole": ("car", "truck")}}, "'pole' is also a class that is not merged"),
        ({"drop": ("car", "pole", "truck", "person")}, "1 class; a mask needs 2 to 254"),
    ],
)
def test_what_can_not_be_merged_is_said(settings, words):
    with pytest.raises(DataError, match=words):
        Index(**settings).build(classes=NAMES, found=survey([0, 1, 2, 3, 4]))


def test_more_than_255_classes_are_refused_with_the_remedy_and_merged_below():
    names = ["background", *(f"thing {i}" for i in range(400))]
    found = survey(range(401), MaskEncoding("gray", 16))
    with pytest.raises(
        DataError, match=r"401 classes; a mask needs 2 to 254; join or leave out classes by merge and drop"
    ):
        Index(ignore=(65535,)).build(classes=names, found=found)
    mapper = Index(ignore=(65535,), merge={"many": tuple(names[100:350])}, drop=tuple(names[350:]))
    built = mapper.build(classes=names, found=found)
    assert len(built.labels) == 101
    raw = np.array([[0, 99, 100, 349, 350, 400, 65535]], np.uint16)
    assert built.to_classes(raw).tolist() == [[0, 99, 100, 100, IGNORE, IGNORE, IGNORE]]


def test_classes_that_are_no_names_have_their_values_as_names():
    mapper = GrayIndex(values=(0, 50, 100), drop=("100",)).build(classes=None, found=survey([0, 50, 100]))
    assert [label.name for label in mapper.labels] == ["0", "50"]


def test_instance_masks_have_nothing_to_merge():
    with pytest.raises(ValidationError):
        Foreground(merge={"a": ("b",)})
