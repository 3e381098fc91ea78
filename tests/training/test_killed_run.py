import json
import random
import shutil
import signal
from pathlib import Path

import pytest

from tests.training.children import Blow, run
from tests.training.small import SPEC, VARIANTS, Study, write_problem

STEP, SAVE, RENAME, SYNC = (
    "segengine.engine.step:TrainingStep.__call__",
    "torch:save",
    "pathlib:Path.replace",
    "os:fsync",
)
TERMINATED = 128 + signal.SIGTERM
PLAIN = ("run", "blobs.yaml", "--variant", "plain")
EQUAL = ("checkpoints/weights.safetensors", "counts/test.csv", "counts/validation.csv", "images.csv", "spec.yaml")


@pytest.fixture
def problem(study: Study, tmp_path: Path) -> Path:
    """A folder with the study's data and experiment, and no run."""
    write_problem(tmp_path, SPEC + VARIANTS)
    return tmp_path


def folder_of(problem: Path) -> Path:
    return problem / "runs/blobs/plain-seed0"


def status(problem: Path) -> str:
    return json.loads((folder_of(problem) / "run.json").read_text())["status"]


def scores(folder: Path) -> list[dict]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]


def assert_equals_undisturbed(problem: Path, study: Study) -> None:
    mine, undisturbed = folder_of(problem), study.run
    for name in EQUAL:
        if name != "spec.yaml":
            assert (mine / name).read_bytes() == (undisturbed / name).read_bytes(), name
    assert scores(mine) == scores(undisturbed)
    before, now = (json.loads((folder / "run.json").read_text()) for folder in (undisturbed, mine))
    assert (now["status"], now["scores"], now["best"]) == ("finished", before["scores"], before["best"])
    assert not list(mine.rglob("*.part"))


def said(problem: Path) -> str:
    return (problem / "said.txt").read_text()


def test_an_undisturbed_run_in_another_process_gives_the_same_bits(problem: Path, study: Study) -> None:
    assert run(*PLAIN, folder=problem) == 0, said(problem)
    assert_equals_undisturbed(problem, study)


@pytest.mark.parametrize(
    "blow",
    [
        Blow(STEP, 2),
        Blow(STEP, 5),
        Blow(SAVE, 4, after=True),  # written, not yet in place
        pytest.param(Blow(STEP, 9, after=True), marks=pytest.mark.slow),
        pytest.param(Blow(SAVE, 1), marks=pytest.mark.slow),
        pytest.param(Blow(SAVE, 2, after=True), marks=pytest.mark.slow),
        pytest.param(Blow(SAVE, 3), marks=pytest.mark.slow),
        *(pytest.param(Blow(RENAME, n), marks=pytest.mark.slow) for n in random.Random(1).sample(range(1, 16), 4)),
        *(pytest.param(Blow(SYNC, n), marks=pytest.mark.slow) for n in random.Random(2).sample(range(1, 16), 4)),
    ],
    ids=lambda blow: f"{blow.at.partition(':')[2]}-{blow.call}{'-after' * blow.after}",
)  # fmt: skip
def test_a_killed_run_that_starts_again_ends_bit_for_bit_as_one_left_alone(
    blow: Blow, problem: Path, study: Study
) -> None:
    assert run(*PLAIN, folder=problem, blow=blow) == -signal.SIGKILL, said(problem)
    assert run(*PLAIN, folder=problem) == 0, said(problem)
    assert_equals_undisturbed(problem, study)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_bit_for_bit_as_one_left_alone(problem: Path, study: Study) -> None:
    chance = random.Random(3)
    for _ in range(6):
        blow = Blow(chance.choice([STEP, SAVE, RENAME, SYNC]), chance.randint(2, 5))
        assert run(*PLAIN, "-s", "training.checkpoint_every={steps: 1}", folder=problem, blow=blow) in (
            -signal.SIGKILL,
            0,
        ), said(problem)
    assert run(*PLAIN, folder=problem) == 0, said(problem)
    assert_equals_undisturbed(problem, study)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupted_run_leaves_a_folder_that_goes_on_to_the_same_bits(
    number: signal.Signals, problem: Path, study: Study
) -> None:
    assert run(*PLAIN, folder=problem, blow=Blow(STEP, 5, number)) == 128 + number, said(problem)
    assert status(problem) == "interrupted"
    assert (folder_of(problem) / "checkpoints/last.pt").exists()
    assert f"{number.name}: saving after this step" in said(problem)
    assert "Traceback" not in said(problem)
    assert run(*PLAIN, folder=problem) == 0, said(problem)
    assert "resuming after step" in said(problem)
    assert_equals_undisturbed(problem, study)


def test_a_second_ctrl_c_stops_at_once_and_the_run_still_goes_on(problem: Path, study: Study) -> None:
    assert run(*PLAIN, folder=problem, blow=Blow(STEP, 5, signal.SIGINT, times=2)) == 130, said(problem)
    assert status(problem) == "interrupted"
    assert "Traceback" not in said(problem)
    assert run(*PLAIN, folder=problem) == 0, said(problem)
    assert_equals_undisturbed(problem, study)


def test_a_run_does_not_go_on_with_changed_data(problem: Path, study: Study) -> None:
    assert run(*PLAIN, folder=problem, blow=Blow(STEP, 5, signal.SIGTERM)) == TERMINATED
    image = problem / "data/train/images/tr0.png"
    kept, before = image.read_bytes(), (folder_of(problem) / "run.json").read_bytes()
    shutil.copy(problem / "data/train/images/tr1.png", image)

    assert run(*PLAIN, folder=problem) == 2
    errors = [line for line in said(problem).splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "the data has changed since this run started: 1 image changed (train/images/tr0)" in errors[0]
    assert (folder_of(problem) / "run.json").read_bytes() == before

    image.write_bytes(kept)
    assert run(*PLAIN, folder=problem) == 0, said(problem)
    assert_equals_undisturbed(problem, study)


def test_a_run_does_not_go_on_when_gray_values_mean_other_classes(problem: Path) -> None:
    assert run(*PLAIN, folder=problem, blow=Blow(STEP, 5, signal.SIGTERM)) == TERMINATED
    values = problem / "data/gray-values.txt"
    assert values.read_text().split()[-3:] == ["0", "63", "252"]
    values.write_text("0\n63\n200\n252\n")
    (problem / "blobs.yaml").write_text((SPEC + VARIANTS).replace("  classes: [background, disc, square]\n", ""))
    assert run(*PLAIN, folder=problem) == 2, said(problem)
