"""What `init` makes of annotations by their tools: an experiment that loads, draws what was annotated, and trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from segengine.building.dataset import load_dataset
from segengine.inspection.layouts.spec import experiment_text
from segengine.inspection.layouts.understand import understand
from segengine.specs.load import load_experiment
from tests.inspection.layouts.annotated_trees import ANNOTATED, boxes
from tests.inspection.layouts.test_layouts import everything, written
from tests.inspection.layouts.trees import SIDE, init_and_train, photo, save

EXPECTED: dict[str, dict[str, Any]] = {
    "coco_2017": {"n": 9, "splits": {"train": 6, "validation": 3}, "source": "coco", "classes": "background person bicycle car",
                  "note": "is used, not annotations/person_keypoints_{split}2017.json"},
    "coco_roboflow": {"n": 11, "splits": {"train": 6, "validation": 3, "test": 2}, "source": "coco", "classes": "background leaf stem"},
    "coco_cvat": {"n": 7, "source": "coco", "classes": "background cat dog"},
    "coco_label_studio": {"n": 6, "source": "coco", "classes": "background Crack Rust"},
    "yolo_roboflow": {"n": 11, "splits": {"train": 6, "validation": 3, "test": 2}, "source": "yolo", "classes": "background leaf stem"},
    "yolo_ultralytics": {"n": 9, "splits": {"train": 6, "validation": 3}, "source": "yolo", "classes": "background crack rust paint",
                         "note": "2 images without annotation (train2.jpg, val2.jpg): background only"},
    "yolo_classes": {"n": 8, "source": "yolo", "classes": "background Crack Rust"},
    "cvat_images": {"n": 8, "splits": {"train": 5, "validation": 3}, "source": "cvat", "classes": "background road car"},
    "cvat_jobs": {"n": 8, "source": "cvat", "classes": "background cat"},
    "label_studio_json": {"n": 7, "source": "label-studio", "classes": "background Crack Rust",
                          "note": "1 image without annotation (shot 7.jpg): left out"},
    "labelme_json": {"n": 7, "source": "labelme", "classes": "background cell nucleus",
                     "note": "1 image without annotation (IMG_7.jpg): left out"},
    "labelme_splits": {"n": 8, "splits": {"train": 6, "validation": 2}, "source": "labelme", "classes": "background cell"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_each_tree_has_its_expectation() -> None:
    assert EXPECTED.keys() == ANNOTATED.keys()


@pytest.mark.parametrize("name", sorted(ANNOTATED))
def test_annotations_become_an_experiment_that_loads(tmp_path: Path, name: str) -> None:
    root, expected = tmp_path / "my data", EXPECTED[name]
    ANNOTATED[name](root)
    before = everything(root)
    found, text = written(root, tmp_path / "specs" / "x.yaml")
    data = yaml.safe_load(text)["data"]
    assert data["source"]["name"] == expected["source"]
    assert " ".join(data["classes"]) == expected["classes"]
    experiment = next(iter(load_experiment(tmp_path / "specs" / "x.yaml").variants.values()))
    dataset = load_dataset(experiment, None, lambda event: None)
    assert everything(root) == before, "init or loading changed the data"
    assert len(dataset.records) == expected["n"]
    assert " ".join(label.name for label in dataset.labels) == expected["classes"]
    assert dataset.splits["train"]
    assert dataset.splits["validation"]
    if "splits" in expected:
        assert {split: len(of) for split, of in dataset.splits.items() if of} == expected["splits"]
    assert expected.get("note", "") in " ".join(found.notes)
    assert (dataset.class_pixels.sum(axis=0)[1:] > 0).all(), "a class is drawn nowhere"
    assert not any("ignored" in warning for warning in dataset.warnings)


def test_the_areas_drawn_are_those_that_were_annotated(tmp_path: Path) -> None:
    ANNOTATED["cvat_images"](tmp_path / "data")
    written(tmp_path / "data", tmp_path / "x.yaml")
    experiment = next(iter(load_experiment(tmp_path / "x.yaml").variants.values()))
    dataset = load_dataset(experiment, None, lambda event: None)
    for index, record in enumerate(dataset.records):
        expected = np.zeros((SIDE, SIDE), np.uint8)
        for label, (left, top, right, bottom) in boxes(int(record.image.stem[-1]), 2):
            expected[top:bottom, left:right] = label + 1
        np.testing.assert_array_equal(dataset.pair(index)[1], expected)


@pytest.mark.parametrize("name", sorted(ANNOTATED))
def test_a_class_is_renamed_in_data_classes(tmp_path: Path, name: str) -> None:
    ANNOTATED[name](tmp_path / "data")
    file = tmp_path / "x.yaml"
    found = understand(tmp_path / "data", lambda event: None)
    document = yaml.safe_load(experiment_text(found, file))
    document["data"]["classes"][1] = "something else"
    file.write_text(yaml.safe_dump(document), "utf-8")
    data = next(iter(load_experiment(file).variants.values())).data
    mapper = data.mask_mapper.build(classes=data.classes, found=found.inspection.survey)
    assert mapper.labels[1].name == "something else"
    assert len(data.source.build()) == EXPECTED[name]["n"]


def test_masks_are_preferred_to_annotations_of_the_same_images(tmp_path: Path) -> None:
    ANNOTATED["coco_cvat"](tmp_path)
    for i in range(7):
        drawn = np.zeros((SIDE, SIDE), np.uint8)
        drawn[4 : 14 + i, 6:20] = 1
        save(tmp_path / f"masks/frame {i}.png", drawn)
    assert understand(tmp_path, lambda event: None).source["name"] == "folders"


def test_a_set_of_which_images_are_missing_is_used_without_them(tmp_path: Path) -> None:
    ANNOTATED["coco_2017"](tmp_path)
    (tmp_path / "train2017/000000006139.jpg").unlink()
    found = understand(tmp_path, lambda event: None)
    assert found.source["missing"] == "skip"
    assert "1 annotated image not found (000000006139.jpg); left out" in " ".join(found.notes)
    assert len(found.inspection.records) == 8


def test_pictures_beside_the_annotated_ones_are_named(tmp_path: Path) -> None:
    ANNOTATED["coco_cvat"](tmp_path)
    save(tmp_path / "images/later.png", photo(9))
    assert "1 image in no annotation file, not used: later.png" in " ".join(
        understand(tmp_path, lambda event: None).notes
    )


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", ["coco_2017", "yolo_ultralytics", "cvat_images", "label_studio_json", "labelme_json"])
def test_what_init_writes_for_annotations_trains(tmp_path: Path, name: str) -> None:
    ANNOTATED[name](tmp_path / "data")
    init_and_train(tmp_path)
