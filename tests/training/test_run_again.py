import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segengine.runs.folder import RunFolder
from tests.training.small import Study, contents, segengine, write_images


@pytest.fixture
def copy(study: Study, tmp_path: Path) -> Path:
    """The study's folder, to be changed; the same data under another root is the same data."""
    assert study.done.code == 0, study.done.err
    shutil.copytree(study.folder, tmp_path / "copy")
    return tmp_path / "copy"


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error:")]


def test_what_is_finished_stays_untouched(study: Study) -> None:
    before = contents(study.folder)
    done = segengine("run", "blobs.yaml", folder=study.folder)
    assert done.code == 0, done.err
    assert done.err.count("already finished") == 2
    after = contents(study.folder)
    after.pop("runs/blobs/comparison.html")  # made anew from the finished runs
    before.pop("runs/blobs/comparison.html", None)
    assert after == before


def test_a_changed_setting_is_refused_with_its_old_and_new_value(study: Study) -> None:
    before = contents(study.folder)
    done = segengine(
        "run", "blobs.yaml", "--variant", "plain", "-s", "training.epochs=5", "-s", "loss=dice", folder=study.folder
    )
    assert done.code == 2
    [line] = errors(done.err)
    assert "training.epochs: 3 -> 5" in line
    assert "loss.name: cross-entropy -> dice" in line
    assert "--fresh" in line
    assert contents(study.folder) == before


@pytest.mark.parametrize(
    "setting", ["title=Kleckse", "training.workers=1", "training.gradient_checkpointing=true", "data.cache=none"]
)
def test_a_setting_that_changes_no_number_may_differ(study: Study, setting: str) -> None:
    assert segengine("run", "blobs.yaml", "-s", setting, folder=study.folder).code == 0


@pytest.mark.usefixtures("no_report")
def test_fresh_sets_the_earlier_run_aside_and_starts_over(copy: Path) -> None:
    run = copy / "runs/blobs/plain-seed0"
    before = {name: content for name, (_, content) in contents(run).items()}
    done = segengine("run", "blobs.yaml", "--variant", "plain", "--fresh", "-s", "training.epochs=1", folder=copy)
    assert done.code == 0, done.err
    [aside] = (copy / "runs/blobs/.old").iterdir()
    assert str(aside.relative_to(copy)) in done.err
    assert {name: content for name, (_, content) in contents(aside).items()} == before
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 1
    assert "slow-seed0" not in done.err
    listed = json.loads(segengine("compare", "--json", folder=copy).out)
    assert ".old" not in json.dumps(listed)


def test_a_run_that_another_process_works_on_is_left_alone(copy: Path) -> None:
    folder = RunFolder(copy / "runs/blobs/plain-seed0")
    document = folder.read()
    (folder / "run.json").write_text(json.dumps(document | {"status": "running"}))
    before = contents(copy)
    with folder.locked():
        done = segengine("run", "blobs.yaml", "--variant", "plain", folder=copy)
    assert done.code == 1
    assert (
        "failed runs/blobs/plain-seed0: another process is working on this run; wait for it, or use another --out"
        in done.err.splitlines()
    )
    assert "Traceback" not in done.err
    changed = {name for name, found in contents(copy).items() if before.get(name) != found}
    assert changed <= {"runs/blobs/plain-seed0/.lock"}


def test_a_damaged_run_folder_is_named(copy: Path) -> None:
    (copy / "runs/blobs/plain-seed0/run.json").write_text('{"format": 1, ')
    done = segengine("run", "blobs.yaml", "--variant", "plain", folder=copy)
    assert done.code == 1
    [line] = errors(done.err)
    assert "plain-seed0/run.json" in line
    assert "damaged" in line


def _corrected(folder: Path, name: str) -> None:
    path = folder / "data" / name
    mask = np.array(Image.open(path))
    mask[:4, :4] = 63
    Image.fromarray(mask).save(path)


def _added(folder: Path) -> None:
    write_images(folder / "more", train=6)
    for kind in ("images", "masks"):
        shutil.copy(folder / f"more/train/{kind}/tr5.png", folder / f"data/train/{kind}/tr5.png")
    shutil.rmtree(folder / "more")


def test_a_finished_run_is_not_mixed_with_changed_data(copy: Path) -> None:
    _added(copy)
    _corrected(copy, "train/masks/tr0.png")
    for kind in ("images", "masks"):
        (copy / f"data/test/{kind}/te1.png").unlink()
    before = contents(copy / "runs")
    done = segengine("run", "blobs.yaml", "--seed", "0", folder=copy)
    assert done.code == 2
    said = done.err[done.err.index("error:") :]
    for variant in ("plain", "slow"):
        assert (
            f"runs/blobs/{variant}-seed0: finished on data that has changed since: 1 image added (train/images/tr5), "
            "1 image removed (test/images/te1), 1 mask changed (train/images/tr0)"
        ) in said
    assert "--fresh" in said
    assert "another --out" in said
    assert contents(copy / "runs") == before


def test_a_study_does_not_train_a_new_seed_on_other_data_than_the_finished_one(copy: Path) -> None:
    _added(copy)
    before = contents(copy / "runs")
    done = segengine("run", "blobs.yaml", "-s", "seeds=[0, 1]", folder=copy)
    assert done.code == 2
    assert "1 image added (train/images/tr5)" in done.err
    assert contents(copy / "runs") == before


@pytest.mark.usefixtures("no_report")
def test_changed_data_runs_under_another_name(copy: Path) -> None:
    _corrected(copy, "train/masks/tr0.png")
    arguments = ("run", "blobs.yaml", "--variant", "plain", "-s", "training.epochs=1", "--out", "other")
    assert segengine(*arguments, folder=copy).code == 0


def test_finished_runs_whose_data_is_gone_stay_finished(copy: Path) -> None:
    shutil.rmtree(copy / "data")
    done = segengine("run", "blobs.yaml", folder=copy)
    assert done.code == 0, done.err
    assert "can't check whether its data has changed" in done.err
    assert done.err.count("already finished") == 2
