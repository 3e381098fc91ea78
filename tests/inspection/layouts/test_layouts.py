"""What `init` makes of miniature trees in the layouts of published sets and tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segengine.building.dataset import load_dataset
from segengine.inspection.layouts.spec import experiment_text
from segengine.inspection.layouts.understand import Finding, understand
from segengine.specs.load import load_experiment
from tests.inspection.layouts.trees import ALL, init_and_train

NAMES = "road sidewalk building wall fence pole"
EXPECTED: dict[str, dict[str, Any]] = {
    "cityscapes": {"n": 6, "splits": {"train": 4, "validation": 2}, "mapper": "gray-index", "classes": 19, "first": NAMES, "ignored": 255},
    "cityscapes_train_ids": {"n": 6, "splits": {"train": 4, "validation": 2}, "mapper": "index", "classes": 19, "first": NAMES,
                             "masks": "labelTrainIds"},
    "bdd100k": {"n": 8, "splits": {"train": 5, "validation": 3}, "mapper": "index", "classes": 19, "masks": "sem_seg/masks"},
    "camvid_segnet": {"n": 7, "splits": {"train": 3, "validation": 2, "test": 2}, "mapper": "index", "classes": 11,
                      "first": "sky building pole"},
    "camvid_original": {"n": 6, "mapper": "rgb", "classes": 4, "first": "Animal Building"},
    "camvid_folders": {"n": 9, "splits": {"train": 3, "validation": 3, "test": 3}, "mapper": "rgb", "classes": 4},
    "voc": {"n": 8, "splits": {"train": 5, "validation": 3}, "mapper": "palette", "classes": 21, "first": "background aeroplane"},
    "ade20k": {"n": 8, "splits": {"train": 4, "validation": 4}, "classes": 150, "first": "thing1 thing2"},
    "mapillary": {"n": 6, "splits": {"train": 4, "validation": 2}, "classes": 3, "first": "Bird Curb Road", "masks": "v1.2/labels"},
    "isaid": {"n": 8, "splits": {"train": 4, "validation": 4}, "mapper": "rgb", "classes": 16, "masks": "_instance_color_RGB"},
    "loveda": {"n": 8, "splits": {"train": 4, "validation": 4}, "classes": 7, "first": "background building road"},
    "carvana": {"n": 12, "classes": 2, "first": "background car", "group": "^([0-9a-f]{6,})_"},
    "drive": {"n": 8, "test": 4, "first": "background vessel", "masks": "1st_manual"},
    "chase": {"n": 8, "first": "background vessel", "masks": "_1stHO", "group": "^(Image_[0-9]+)[LR]"},
    "dsb2018": {"n": 6, "first": "background nucleus", "masks": "{object}"},
    "nnunet": {"n": 8, "first": "background bone cartilage", "channels": 2},
    "kaggle_table": {"n": 8, "splits": {"train": 6, "validation": 2}, "classes": 2},
    "lgg": {"n": 12, "classes": 2, "images": "{group}"},
    "one_folder": {"n": 8, "classes": 2},
    "isic": {"n": 6, "classes": 2, "masks": "_segmentation"},
    "roboflow": {"n": 10, "splits": {"train": 5, "validation": 3, "test": 2}, "first": "background leaf stem"},
    "cvat": {"n": 6, "mapper": "rgb", "first": "background cat dog", "masks": "SegmentationClass"},
    "itk_snap": {"n": 6, "mapper": "gray-index", "first": "background liver spleen"},
    "slicer": {"n": 6, "first": "background left lung right lung", "no flip": "left lung and right lung would be exchanged"},
    "class_folders": {"n": 8, "classes": 3, "first": "background EX MA", "masks": "{class}"},
    "class_names": {"n": 8, "first": "background Crack Rust", "masks": "{class}"},
    "object_names": {"n": 6, "first": "background object", "masks": "{object}"},
    "annotators": {"n": 6, "classes": 2, "masks": "anna", "note": "masks of several annotators: the first, drawn/anna/*.png, is used"},
    "upper_case_and_junk": {"n": 6, "classes": 2},
    "links": {"n": 8, "splits": {"train": 5, "validation": 3}},
    "kinds_above_splits": {"n": 8, "splits": {"train": 4, "validation": 2, "test": 2}, "classes": 3},
    "split_in_names": {"n": 8, "splits": {"train": 5, "validation": 3}},
    "list_in_csv": {"n": 8, "splits": {"train": 5, "validation": 2, "test": 1}},
    "patients": {"n": 12, "classes": 3, "group": "^(pat[0-9]+)"},
    "sided": {"n": 12, "no flip": "class1 is always left of class2"},
    "chaos_mr": {"n": 12, "first": "background liver right kidney left kidney spleen", "images": "MR/{group}/T2SPIR",
                 "no flip": "right kidney and left kidney would be exchanged"},
    "ham10000": {"n": 8, "classes": 2},
    "idrid": {"n": 8, "classes": 3, "masks": "{class}"},
    "suim": {"n": 9, "mapper": "rgb", "classes": 3},
    "pets": {"n": 8, "classes": 3},
    "coco_stuff": {"n": 8, "splits": {"train": 5, "validation": 3}, "first": "thing0 thing1"},
    "inria": {"n": 6, "classes": 2},
    "potsdam": {"n": 6, "mapper": "rgb", "classes": 4},
    "yolo_names": {"n": 8, "splits": {"train": 4, "validation": 4}, "first": "sky cat no"},
}  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def everything(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def written(root: Path, file: Path) -> tuple[Finding, str]:
    found = understand(root, lambda event: None)
    text = experiment_text(found, file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return found, text


def test_each_tree_has_its_expectation() -> None:
    assert EXPECTED.keys() == ALL.keys()


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", sorted(ALL))
def test_a_published_layout_becomes_an_experiment_that_loads(tmp_path: Path, name: str) -> None:
    root, expected = tmp_path / "my data", EXPECTED[name]
    ALL[name](root)
    before = everything(root)
    found, text = written(root, tmp_path / "specs" / "x.yaml")
    experiment = next(iter(load_experiment(tmp_path / "specs" / "x.yaml").variants.values()))
    dataset = load_dataset(experiment, None, lambda event: None)
    assert everything(root) == before, "init or loading changed the data"
    assert len(dataset.records) == expected["n"]
    assert dataset.splits["train"]
    assert dataset.splits["validation"]
    assert {split: len(of) for split, of in dataset.splits.items() if of and "splits" in expected} == expected.get(
        "splits", {}
    )
    names = [label.name for label in dataset.labels]
    assert len(names) == expected.get("classes", len(names))
    assert " ".join(names).startswith(expected.get("first", ""))
    assert experiment.data.mask_mapper.name == expected.get("mapper", experiment.data.mask_mapper.name)
    assert expected.get("masks", "") in str(found.source.get("masks", ""))
    assert expected.get("images", "") in str(found.source.get("images", ""))
    assert experiment.data.split.group == expected.get("group", experiment.data.split.group)
    assert dataset.channels == expected.get("channels", dataset.channels)
    assert ("name: flip" in text) == ("no flip" not in expected)
    assert f"no flip: {expected.get('no flip', '')}" in text or "no flip" not in expected
    assert expected.get("note", "") in " ".join(found.notes)
    for warning in dataset.warnings:
        assert "repair" not in warning


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", ["dsb2018", "nnunet", "class_folders"])
def test_what_init_writes_trains(tmp_path: Path, name: str) -> None:
    ALL[name](tmp_path / "data")
    init_and_train(tmp_path)
