import json
import shutil
from pathlib import Path

import pytest

from segengine.runs.folder import RunFolder
from tests.training.small import Study, contents, segengine


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
    assert contents(study.folder) == before


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
