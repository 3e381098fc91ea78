"""No message of `init` tells a newcomer to edit an experiment file, which doesn't exist yet."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segengine.errors import DataError
from segengine.inspection.layouts.question import before_a_file
from segengine.inspection.layouts.understand import Answers, understand
from tests.data.annotations.sets import WIDTH, box, coco
from tests.inspection.layouts.annotated_trees import ANNOTATED, coco_document
from tests.inspection.layouts.trees import mask, photo, save, text

_SETTING = re.compile(r"data\.(?!md)[a-z_]+|mask_mapper")


def with_masks(root: Path, make: Callable[[int], np.ndarray], number: int = 6) -> None:
    for i in range(number):
        save(root / f"images/{i}.png", photo(i))
        save(root / f"masks/{i}.png", make(i))


def unfitting(root: Path) -> Answers:
    for i in range(4):
        save(root / f"a/x{i}.png", photo(i))
        save(root / f"b/y{i + 9}.png", mask(i))
    return Answers(images="a/*.png", masks="b/*.png")


def outside(root: Path) -> Answers:
    with_masks(root / "in", mask)
    return Answers(images="../*.png", masks="masks/*.png")


def photographs(root: Path) -> Answers:
    with_masks(root, lambda i: np.random.default_rng(i).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    for i in range(6):
        save(root / f"images/{i}.png", np.random.default_rng(i).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    return Answers(images="images/*.png", masks="masks/*.png")


def one_value(root: Path) -> Answers:
    with_masks(root, lambda i: np.zeros((32, 32), np.uint8))
    return Answers(images="images/*.png", masks="masks/*.png")


def transparent(root: Path) -> Answers:
    drawn = [np.dstack([np.zeros((32, 32, 3), np.uint8), mask(i) * 255]) for i in range(6)]
    with_masks(root, lambda i: drawn[i])
    return Answers(images="images/*.png", masks="masks/*.png")


def many_labels(root: Path) -> Answers:
    names = [f"thing {i}" for i in range(300)]
    coco(
        root,
        [{"segmentation": [box(i, i, i + 9, i + 9)], "category_id": i + 1} for i in range(5)],
        names=names,
        images=6,
    )
    return Answers()


def other_sizes(root: Path) -> Answers:
    coco(root, [{"segmentation": [box(0, 0, 9, 9)]}], images=6, size=(10, WIDTH))
    return Answers()


def ambiguous(root: Path) -> Answers:
    for folder in ("one", "two"):
        for i in range(4):
            save(root / f"{folder}/{i}.png", photo(i))
    text(root / "labels.json", json.dumps(coco_document([f"{i}.png" for i in range(4)], ("cat",))))
    return Answers()


def linked(root: Path) -> Answers:
    ANNOTATED["coco_cvat"](root)
    os.symlink(save_outside(root), root / "images/link.png")
    return Answers()


def save_outside(root: Path) -> Path:
    path = root.parent / "elsewhere.png"
    save(path, photo(1))
    return path


FOLDERS = (unfitting, outside, photographs, one_value, transparent, many_labels, other_sizes, ambiguous, linked)


@pytest.mark.parametrize("make", FOLDERS, ids=lambda make: make.__name__)
def test_no_message_names_a_setting_of_a_file_that_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Answers]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    answers = make(tmp_path / "set")
    with pytest.raises(DataError) as refused:
        understand(tmp_path / "set", lambda event: None, answers)
    assert not _SETTING.search(str(refused.value)), str(refused.value)
    assert len(str(refused.value)) > 40


def test_settings_become_options() -> None:
    assert before_a_file("x: 1 image has no mask; add what is missing, or set data.source.unpaired: skip") == (
        "x: 1 image has no mask; add what is missing, or leave them out with --unpaired skip"
    )
    assert before_a_file("the pattern 'a' leads outside x; set outside: allow in data.source to permit this").endswith(
        "; allow this with --outside allow"
    )
    assert (
        before_a_file("x: value 7; add it there or to ignore of data.mask_mapper; the rest") == "x: value 7; the rest"
    )


def test_the_pattern_that_a_message_asks_for_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ambiguous(tmp_path / "set")
    with pytest.raises(DataError, match="choose the intended images with --images PATTERN"):
        understand(tmp_path / "set", lambda event: None)
    found = understand(tmp_path / "set", lambda event: None, Answers(images="one/*.png"))
    assert found.source["images"] == "one/*.png"
    assert len(found.inspection.records) == 4
