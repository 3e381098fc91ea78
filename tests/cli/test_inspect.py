from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segengine.cli.main import main
from segengine.specs.load import load_experiment


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def folder(root: Path, masks: list[np.ndarray[Any, Any]]) -> Path:
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for i, mask in enumerate(masks):
        Image.fromarray(np.full((*mask.shape, 3), 40 * i, np.uint8)).save(root / "images" / f"a{i}.png")
        Image.fromarray(mask).save(root / "masks" / f"a{i}.png")
    return root


def block(*values: int) -> np.ndarray[Any, Any]:
    return np.kron(np.array(values, np.uint8).reshape(1, -1), np.ones((40, 20), np.uint8))


def test_inspect_says_what_masks_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder(tmp_path / "data", [block(0, 63, 126), block(0, 63, 0)])
    assert run("inspect", str(data), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["sizes"], found["channels"]) == (2, {"60x40": 2}, {"3": 2})
    assert [(v["value"], v["pixels"], v["masks"]) for v in found["masks"]["values"]] == [
        ("0", 2400, 2), ("63", 1600, 2), ("126", 800, 1),
    ]  # fmt: skip
    assert found["masks"]["diagnosis"] == "exact"
    assert not (data / "gray-values.txt").exists()  # looking changes nothing


def test_inspect_ends_with_1_where_masks_can_not_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (40, 1))
    assert run("inspect", str(folder(tmp_path / "data", [ramp, ramp]))) == 1
    assert "values" in capsys.readouterr().out


def test_init_writes_a_file_that_is_valid_and_knows_the_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder(tmp_path / "my data", [block(0, 63, 126), block(0, 63, 0)])
    file = tmp_path / "specs" / "mine.yaml"
    assert run("init", str(data), "-o", str(file)) == 0
    loaded = load_experiment(file)
    experiment = next(iter(loaded.variants.values()))
    assert experiment.data.classes == ["background", "class1", "class2"]
    assert experiment.data.source.root.resolve() == data.resolve()  # type: ignore[attr-defined]
    assert run("init", str(data), "-o", str(file)) == 2
    assert f"error: {file}: already exists; choose another file with -o" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["palette", "rgb"])
def test_init_chooses_the_mapper_that_the_masks_need(tmp_path: Path, kind: str) -> None:
    data = folder(tmp_path / "data", [block(0, 1, 2), block(2, 1, 0)])
    for path in (data / "masks").iterdir():
        mask = Image.open(path)
        mask.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
        (mask if kind == "palette" else mask.convert("RGB")).save(path)
    assert run("init", str(data), "-o", str(tmp_path / "x.yaml")) == 0
    mapper = next(iter(load_experiment(tmp_path / "x.yaml").variants.values())).data.mask_mapper
    assert mapper.name == kind


def test_a_folder_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", str(tmp_path / "nothing")) == 2
    assert "nothing: not a directory" in capsys.readouterr().err


def test_masks_of_another_size_are_found_by_inspect_and_init(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder(tmp_path / "data", [block(0, 63, 126)] * 4)
    for i, size in enumerate([(30, 20), (59, 40), (60, 30)]):
        path = data / "masks" / f"a{i}.png"
        Image.open(path).resize(size, Image.Resampling.NEAREST).save(path)
    assert run("inspect", str(data), "--json") == 1
    found = json.loads(capsys.readouterr().out)["masks"]
    assert found["other_sizes"] == {"half the image's size": 1, "one pixel off": 1, "cut": 1}
    assert run("inspect", str(data)) == 1
    words = f"{data}/images/a0.png is 60x40 and its mask {data}/masks/a0.png 30x20 (width x height)"
    assert words in capsys.readouterr().out
    file = tmp_path / "mine.yaml"
    assert run("init", str(data), "-o", str(file)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "3 of 4 masks differ in size from their images: 1 half the image's size, 1 one pixel off, 1 cut" in said
    assert not file.exists()


def test_of_many_values_the_most_frequent_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = [0] * 3 + [value for value in range(60) for _ in range(1 + (value == 59))]
    data = folder(tmp_path / "data", [block(*values)])
    run("inspect", str(data))
    said = capsys.readouterr().out
    assert "and 30 less frequent values (--all)" in said
    assert "\n   59" in said
    run("inspect", str(data), "--all")
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.split()}
    assert {str(value) for value in range(60)} <= listed
