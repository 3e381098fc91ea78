"""`segengine predict` into a folder that has files: nothing of the user's is replaced, a half-done folder is completed."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segengine as package
from segengine.errors import DataError
from segengine.inference.predict.manifest import NAME
from tests.training.small import Done, Study, contents, opened, sample, segengine


def predict(study: Study, tmp_path: Path, *more: str | Path, run: Path | None = None) -> Done:
    return segengine(
        "predict", run or study.run, study.folder / "data/test/images", "-o", "out", *more, folder=tmp_path
    )


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {name: found for name, found in contents(folder).items() if name != NAME}


@pytest.fixture
def other_run(study: Study, tmp_path: Path) -> Path:
    """A run with other weights."""
    (other,) = [path for path in study.run.parent.glob("*-seed0") if path != study.run]
    return other


@pytest.mark.parametrize("name", ["te0.png", "te1.png", "overlays/te0.png", "triptychs/te1.png"])
def test_a_file_of_the_user_is_named_and_nothing_is_predicted(name: str, study: Study, tmp_path: Path) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    Image.fromarray(sample(9)[0]).save(path)
    before = contents(tmp_path)
    done = predict(study, tmp_path, "--overlay", "--masks", study.folder / "data/test/masks")
    assert done.code == 2
    assert done.err == (
        f"error: out/{name}: exists, and was not written by segengine predict; "
        "choose another folder with -o, or replace it with --overwrite\n"
    )
    assert contents(tmp_path) == before


def test_many_files_in_the_way_are_counted_and_the_first_named(study: Study, tmp_path: Path) -> None:
    for kind in ("in", "out"):
        (tmp_path / kind).mkdir()
        for number in range(14):
            Image.fromarray(sample(number)[0]).save(tmp_path / kind / f"x{number:02d}.png")
    done = segengine("predict", study.run, "in", "-o", "out", folder=tmp_path)
    lines = done.err.splitlines()
    assert done.code == 2
    assert lines[0] == "error: out/x00.png: exists, and was not written by segengine predict"
    assert lines[10:] == [
        "error: and 4 more files; choose another folder with -o, or replace them with --overwrite",
    ]


def test_overwrite_replaces_what_is_in_the_way_but_never_an_input(study: Study, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    Image.fromarray(sample(9)[0]).save(tmp_path / "out/te0.png")
    done = predict(study, tmp_path, "--overwrite")
    assert done.code == 0, done.err
    assert "2 of 2 masks written" in done.out
    assert set(np.unique(np.asarray(opened(tmp_path / "out/te0.png")))) <= {0, 63, 252}
    shutil.copytree(study.folder / "data/test/images", tmp_path / "images")
    before = contents(tmp_path / "images")
    done = segengine("predict", study.run, "images", "-o", "images", "--overwrite", folder=tmp_path)
    assert (done.code, contents(tmp_path / "images")) == (2, before)


def test_a_second_run_writes_nothing_and_says_so(study: Study, tmp_path: Path) -> None:
    assert predict(study, tmp_path).code == 0
    before = contents(tmp_path)
    done = predict(study, tmp_path)
    assert (done.code, done.out) == (0, "0 of 2 masks written to out; 2 were complete\n")
    assert contents(tmp_path) == before
    document = json.loads(predict(study, tmp_path, "--json").out)
    assert [(each["written"], each["complete"]) for each in document["images"]] == [
        ([], ["out/te0.png"]),
        ([], ["out/te1.png"]),
    ]


def test_what_is_missing_is_added(study: Study, tmp_path: Path) -> None:
    assert predict(study, tmp_path, "--overlay").code == 0
    whole = files(tmp_path / "out")
    (tmp_path / "out/te1.png").unlink()
    (tmp_path / "out/overlays/te0.png").unlink()
    done = predict(study, tmp_path, "--overlay")
    assert done.code == 0, done.err
    again = files(tmp_path / "out")
    assert {name: content for name, (_, content) in again.items()} == {name: c for name, (_, c) in whole.items()}
    assert {name for name in again if again[name][0] != whole[name][0]} == {"te1.png", "overlays/te0.png"}


def test_another_model_refuses_the_folder(study: Study, other_run: Path, tmp_path: Path) -> None:
    assert predict(study, tmp_path).code == 0
    before = contents(tmp_path)
    done = predict(study, tmp_path, run=other_run)
    assert done.code == 2
    assert "out/te0.png: exists, and was predicted by another model or with other settings" in done.err
    assert contents(tmp_path) == before
    assert predict(study, tmp_path, "--overwrite", run=other_run).code == 0
    assert predict(study, tmp_path, run=other_run).out.startswith("0 of 2 masks written")


def test_a_mask_corrected_by_hand_is_kept(study: Study, tmp_path: Path) -> None:
    assert predict(study, tmp_path).code == 0
    Image.fromarray(np.full((48, 48), 63, np.uint8)).save(tmp_path / "out/te1.png")
    before = contents(tmp_path)
    done = predict(study, tmp_path)
    assert done.code == 2
    assert "out/te1.png: exists, and was changed since segengine predict wrote it" in done.err
    assert contents(tmp_path) == before


def test_an_image_that_changed_is_not_complete(study: Study, tmp_path: Path) -> None:
    for seed in (1, 2):
        Image.fromarray(sample(seed)[0]).save(tmp_path / "a.png")
        done = segengine("predict", study.run, "a.png", "-o", "out", folder=tmp_path)
    assert done.code == 2
    assert "out/a.png: exists, and was predicted from other content of a.png" in done.err


def test_a_list_of_predictions_by_another_program_is_kept(study: Study, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAME).write_text('{"mine": 1}\n')
    done = predict(study, tmp_path, "--overwrite")
    assert done.code == 2
    assert f"out/{NAME}: is not a list of predictions written by segengine" in done.err
    assert (tmp_path / "out" / NAME).read_text() == '{"mine": 1}\n'


def test_a_killed_run_is_completed(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the record of a file and its final name, in the middle of a record, and before any."""
    replace = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target.name == "te1.png":
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    assert predict(study, tmp_path).code == 130
    monkeypatch.undo()
    assert sorted(files(tmp_path / "out")) == ["te0.png"]
    with (tmp_path / "out" / NAME).open("a") as file:
        file.write('{"file": "te1.png", "sha25')
    done = predict(study, tmp_path)
    assert (done.code, done.out) == (0, "1 of 2 masks written to out; 1 was complete\n")
    assert predict(study, tmp_path).out == "0 of 2 masks written to out; 2 were complete\n"


def test_links_and_folders_in_the_way_are_kept(study: Study, tmp_path: Path) -> None:
    (tmp_path / "out/te0.png").mkdir(parents=True)
    (tmp_path / "out/te1.png").symlink_to("nowhere")
    done = predict(study, tmp_path)
    assert done.code == 2
    assert "out/te1.png: exists" in done.err
    done = predict(study, tmp_path, "--overwrite")
    assert done.code == 2
    assert "out/te0.png: is a directory" in done.err
    assert os.readlink(tmp_path / "out/te1.png") == "nowhere"


def test_a_file_that_appears_meanwhile_is_kept(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segengine.inference.predict import files

    read = files.read_source

    def appears(path: Path, members: Any) -> Any:
        if path.name == "te1.png":
            (tmp_path / "out").mkdir(exist_ok=True)
            (tmp_path / "out/te1.png").write_text("mine")
        return read(path, members)

    monkeypatch.setattr(files, "read_source", appears)
    done = predict(study, tmp_path)
    assert done.code == 1
    assert "out/te1.png: exists, and was not written by segengine predict" in done.err
    assert (tmp_path / "out/te1.png").read_text() == "mine"


def test_python_follows_the_same_rule(study: Study, tmp_path: Path) -> None:
    model = package.load(study.run)
    images = study.folder / "data/test/images"
    assert [path.name for path in model.predict_folder(images, tmp_path)] == ["te0.png", "te1.png"]
    before = contents(tmp_path)
    assert [path.name for path in model.predict_folder(images, tmp_path)] == ["te0.png", "te1.png"]
    assert contents(tmp_path) == before
    (tmp_path / "te0.png").write_text("mine")
    (tmp_path / "te1.png").unlink()
    with pytest.raises(DataError, match="changed since"):
        model.predict_folder(images, tmp_path)
    assert not (tmp_path / "te1.png").exists()
    model.predict_folder(images, tmp_path, overwrite=True)
    assert set(np.unique(np.asarray(opened(tmp_path / "te0.png")))) <= {0, 63, 252}


def test_python_predicts_the_rest_of_a_folder_before_it_raises(study: Study, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(b"no picture")
    Image.fromarray(sample(1)[0]).save(tmp_path / "in/b.png")
    with pytest.raises(DataError, match=r"a\.png"):
        package.load(study.run).predict_folder(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out/b.png").exists()
