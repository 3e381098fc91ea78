import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segengine.errors import SpecError
from tests.training.small import SPEC, opened, segengine, write_problem

TRACKER = """
from pathlib import Path
from typing import Literal
from segengine.plugin import Tracker

class Lines(Tracker):
    "Steps as lines."
    name: Literal["lines"] = "lines"
    def build(self, *, folder: Path):
        def listen(event):
            if type(event).__name__ == "StepDone":
                with (folder / "steps.txt").open("a") as file:
                    file.write(f"{event.step}\\n")
        return listen

class Clumsy(Tracker):
    "Falls over the second step."
    name: Literal["clumsy"] = "clumsy"
    def build(self, *, folder: Path):
        def listen(event):
            if type(event).__name__ == "StepDone" and event.step == 2:
                raise ValueError("I fell")
        return listen
"""


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error:")]


@pytest.mark.usefixtures("no_report")
def test_a_variant_whose_loss_is_not_finite_fails_by_itself_and_names_the_images(tmp_path: Path) -> None:
    variants = "variants:\n  wild: {training: {optimizer: {learning_rate: 1.0e+30}, schedule: constant}}\n  tame: {training: {epochs: 1}}\n"
    write_problem(tmp_path, SPEC + variants)
    done = segengine("run", "blobs.yaml", "--json", folder=tmp_path)
    assert done.code == 1
    wild, tame = json.loads(done.out)
    assert (wild["status"], tame["status"]) == ("failed", "finished")
    assert "the loss became infinite or NaN at images train/images/tr" in wild["message"]
    document = json.loads((tmp_path / "runs/blobs/wild-seed0/run.json").read_text())
    assert (document["status"], document["message"]) == ("failed", wild["message"])
    assert wild["message"] in (tmp_path / "runs/blobs/wild-seed0/log.txt").read_text()
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("no_report")
def test_an_unexpected_error_costs_only_its_run_and_leaves_its_traceback_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segengine.training import trainer as training

    real = training.build_loss

    def fails_once(experiment: Any, *arguments: Any) -> Any:
        if experiment.loss.name == "dice":
            raise RuntimeError("a shape is wrong\nmany lines of it")
        return real(experiment, *arguments)

    monkeypatch.setattr(training, "build_loss", fails_once)
    write_problem(tmp_path, SPEC + "variants:\n  first: {loss: dice}\n  second: {training: {epochs: 1}}\n")
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 1
    assert "RuntimeError: a shape is wrong" in done.err
    assert "many lines of it" not in done.err
    assert "Traceback" not in done.err
    assert "fails_once" in (tmp_path / "runs/blobs/first-seed0/log.txt").read_text()
    assert json.loads((tmp_path / "runs/blobs/second-seed0/run.json").read_text())["status"] == "finished"


def test_one_image_a_step_that_batch_norm_cannot_learn_from_is_explained(tmp_path: Path) -> None:
    write_problem(tmp_path)
    done = segengine("run", "blobs.yaml", "-s", "training.batch_size=1", folder=tmp_path)
    assert done.code == 1
    assert "set training.batch_size to at least 2" in done.err
    assert "Traceback" not in done.err


def break_a_mask(folder: Path) -> None:
    (folder / "data/train/masks/tr1.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")


def resize_a_mask(folder: Path) -> None:
    Image.new("L", (40, 48)).save(folder / "data/train/masks/tr1.png")


def add_a_value(folder: Path) -> None:
    path = folder / "data/test/masks/te1.png"
    mask = np.array(opened(path))
    mask[:3, :5] = 66
    Image.fromarray(mask).save(path)


def remove_a_mask(folder: Path) -> None:
    (folder / "data/train/masks/tr1.png").unlink()


def remove_an_image(folder: Path) -> None:
    (folder / "data/validation/images/va0.png").unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (break_a_mask, ["tr1.png"]),
        (resize_a_mask, ["tr1.png", "40x48", "48x48"]),
        (add_a_value, ["66", "te1.png", "63", "15 pixels"]),
        (remove_a_mask, ["tr1"]),
        (remove_an_image, ["va0"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_wrong_data_is_one_line_that_names_the_file_before_there_is_a_run(
    harm: Callable[[Path], None], words: list[str], tmp_path: Path
) -> None:
    values = "  mask_mapper: {name: gray-index, values: [0, 63, 252]}\n"
    write_problem(tmp_path, SPEC.replace("augmentations:", values + "augmentations:"))
    harm(tmp_path)
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 2
    [line] = errors(done.err)
    assert all(word in line for word in words), line
    assert "Traceback" not in done.err
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_training_images_of_several_sizes_without_a_crop_are_refused_before_there_is_a_run(tmp_path: Path) -> None:
    write_problem(tmp_path)
    for kind in ("images", "masks"):
        path = tmp_path / f"data/train/{kind}/tr1.png"
        opened(path).resize((64, 40), Image.Resampling.NEAREST).save(path)
    done = segengine("run", "blobs.yaml", "-s", "augmentations=[]", folder=tmp_path)
    assert done.code == 2
    [line] = errors(done.err)
    assert "48x48" in line
    assert "64x40" in line
    assert not (tmp_path / "runs/blobs").exists()


def test_all_typos_of_a_spec_are_told_at_once(tmp_path: Path) -> None:
    path = write_problem(
        tmp_path, SPEC.replace("epochs:", "epoch:").replace("classes:", "clases:").replace("flip", "flop")
    )
    done = segengine("run", path, folder=tmp_path)
    assert done.code == 2
    lines = errors(done.err)
    assert len(lines) == 3
    for line, word in zip(lines, ("classes", "flip", "epochs"), strict=True):
        assert "blobs.yaml:" in line
        assert f"did you mean '{word}'" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["--variant", "plian"], "plian"), (["--seed", "7"], "seed 7"), (["--colour"], "--colour")],
)
def test_a_request_for_what_is_not_there_is_exit_code_2(arguments: list[str], word: str, tmp_path: Path) -> None:
    write_problem(tmp_path, SPEC + "variants: {plain: {}}\n")
    done = segengine("run", "blobs.yaml", *arguments, folder=tmp_path)
    assert done.code == 2
    assert word in done.err
    assert "Traceback" not in done.err


def test_an_out_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    write_problem(tmp_path)
    (tmp_path / "occupied").write_text("a file")
    done = segengine("run", "blobs.yaml", "--out", "occupied/runs", folder=tmp_path)
    assert done.code == 2
    assert done.err == "error: --out occupied/runs: occupied is a file; give the path of a folder\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_out_folder_is_named(tmp_path: Path) -> None:
    write_problem(tmp_path)
    (tmp_path / "runs").mkdir(mode=0o500)
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 1
    assert "can't be written to" in done.err


def test_debug_lets_the_error_through_and_without_it_there_is_no_traceback(tmp_path: Path) -> None:
    from segengine.cli.main import main

    with pytest.raises(SpecError, match=r"missing\.yaml"):
        main(["run", str(tmp_path / "missing.yaml"), "--debug"])
    done = segengine("run", "missing.yaml", folder=tmp_path)
    assert (done.code, "Traceback" in done.err) == (2, False)


def test_debug_shows_a_traceback_on_the_terminal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "segengine", "validate", "missing.yaml"]
    plain, debug = (
        subprocess.run([*command, *more], check=False, capture_output=True, text=True, cwd=tmp_path)
        for more in ([], ["--debug"])
    )
    assert (plain.returncode, plain.stdout) == (2, "")
    assert plain.stderr.startswith("error: missing.yaml")
    assert len(plain.stderr.splitlines()) == 1
    assert "Traceback (most recent call last)" in debug.stderr
    assert "SpecError: missing.yaml" in debug.stderr


@pytest.mark.usefixtures("no_report")
def test_trackers_of_a_spec_listen_and_one_that_raises_is_dropped_and_reported(
    tmp_path: Path, install: Callable[..., Path]
) -> None:
    install("acme", {"trackers": {"lines": "acme:Lines", "clumsy": "acme:Clumsy"}}, TRACKER)
    write_problem(tmp_path, SPEC.replace("epochs: 3", "epochs: 1") + "trackers: [clumsy, lines]\n")
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    run = tmp_path / "runs/blobs/default-seed0"
    assert (run / "steps.txt").read_text().split() == ["1", "2", "3"]
    assert done.err.count("I fell") == 1
    assert (run / "log.txt").read_text().count("ValueError: I fell") == 1


@pytest.mark.usefixtures("no_report")
def test_half_written_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    write_problem(tmp_path, SPEC.replace("epochs: 3", "epochs: 1"))
    left = tmp_path / "runs/blobs/default-seed0/checkpoints/.last.pt.abc.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert segengine("run", "blobs.yaml", folder=tmp_path).code == 0
    assert not left.exists()
