"""`init` on real sets as people have them: what it says of the masks, and that what it writes loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segengine.building.dataset import load_dataset
from segengine.inspection.layouts.spec import experiment_text
from segengine.inspection.layouts.understand import UndecidedError, understand
from segengine.specs.load import load_experiment

pytestmark = [pytest.mark.datasets, pytest.mark.slow]
SETS: dict[str, tuple[int, dict[str, Any], str]] = {
    "abdomen-mr": (586, {"mapper": "gray-index", "classes": 5, "group": "^(p[0-9]+)"}, "5 exact values"),
    "street": (174, {"mapper": "index", "classes": 11}, "12 exact values"),
    "voc": (120, {"mapper": "palette", "classes": 21}, "255 is a void border"),
    "retina/drive": (20, {"mapper": "gray-index", "classes": 2}, "field of view, not a ground truth"),
    "retina/chase": (16, {"classes": 2, "group": "^(Image_[0-9]+)[LR]"}, "masks of several annotators"),
    "nuclei-dirty": (90, {"mapper": "gray-index", "classes": 2, "repair": "nearest"}, "occur only along edges"),
    "weeds": (10, {"mapper": "rgb", "classes": 3}, "3 colours"),
    "tiles": (47, {"classes": 2, "repair": "nearest"}, "foreground has 0.15 % of the pixels"),
    "polyps-jpeg": (5, {"classes": 2, "repair": "nearest"}, "5 masks are JPEG"),
    "ultrasound": (14, {"mapper": "rgb", "repair": "nearest"}, "6 images have no mask"),
    "em-tiff": (35, {"mapper": "foreground", "classes": 2}, "instance numbers, not classes"),
}


@pytest.mark.parametrize("name", sorted(SETS))
def test_a_real_set_becomes_an_experiment_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, datasets: Path, name: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    number, wanted, said = SETS[name]
    before = {path: path.stat().st_mtime_ns for path in (datasets / name).rglob("*")}
    text = experiment_text(understand(datasets / name, lambda event: None), tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text(text, "utf-8")
    experiment = next(iter(load_experiment(tmp_path / "x.yaml", ["data.cache=none"]).variants.values()))
    dataset = load_dataset(experiment, None, lambda event: None)
    assert len(dataset.records) == number
    assert all(dataset.splits[split] for split in ("train", "validation"))
    found = {
        "mapper": experiment.data.mask_mapper.name, "classes": len(dataset.labels), "group": experiment.data.split.group,
        "repair": getattr(experiment.data.mask_mapper, "repair", None),
    }  # fmt: skip
    assert found | wanted == found
    assert said in text
    assert {path: path.stat().st_mtime_ns for path in (datasets / name).rglob("*")} == before


def test_two_sets_in_one_folder_are_a_question(datasets: Path) -> None:
    with pytest.raises(UndecidedError, match="there are several sets of images with masks"):
        understand(datasets / "retina", lambda event: None)
