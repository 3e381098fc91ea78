"""Several processes on one machine: they stop together, and what one of them leaves behind goes on in any number."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from segengine.engine import launch
from segengine.errors import RunError
from tests.training.small import SPEC, segengine, write_problem

EPOCHS = 40
"""So many that none of the runs ends before it is ended."""
RUN = (
    "run", "blobs.yaml", "--device", "cpu", "-s", "training.batch_size=6", "-s", f"training.epochs={EPOCHS}",
    "-s", "training.checkpoint_every={steps: 1}", "-s", "training.evaluate_every=10", "-s", "evaluation.cost=false",
)  # fmt: skip


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    write_problem(tmp_path, SPEC, train=13, validation=7, test=5)
    return tmp_path


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "segengine", *RUN, *arguments], cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out + err


def until(true: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def rank(launcher: subprocess.Popen[str], number: int) -> psutil.Process:
    return next(
        child for child in psutil.Process(launcher.pid).children() if child.environ().get("RANK") == str(number)
    )


def state(folder: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads((folder / "runs/blobs/default-seed0/run.json").read_text())
    return document


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
def test_processes_end_together_whatever_ends_them_and_the_run_goes_on_in_any_number(problem: Path) -> None:
    run = problem / "runs/blobs/default-seed0"

    def going_on(times: int) -> bool:
        return (run / "log.txt").read_text().count("started after step") == times

    # The launcher is killed: so are all that it started.
    first = start(problem, "--gpus", "2")
    until((run / "checkpoints/last.pt").exists)
    both = [rank(first, 0), rank(first, 1)]
    first.kill()
    ended(first)
    psutil.wait_procs(both, timeout=10)
    assert not [process for process in both if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]

    # One process of three is killed: the others end within the stated time. 13 images of 6 a step are 3 steps an epoch,
    # whoever makes them.
    second = start(problem, "--gpus", "3")
    until(lambda: going_on(1))
    began = time.monotonic()
    rank(second, 1).kill()
    code, said = ended(second)
    assert time.monotonic() - began < launch.GRACE + 5
    assert code == 1, said
    assert "process 1 of 0 to 2 was killed (SIGKILL, usually out of memory); the others ended" in said
    assert "run the same command again to resume from the last checkpoint" in said
    assert state(problem)["status"] != "finished"

    # SIGTERM lets all save, and its exit code reaches the shell.
    third = start(problem, "--gpus", "2")
    until(lambda: going_on(2))
    third.send_signal(signal.SIGTERM)
    code, said = ended(third)
    assert code == 143, said
    assert state(problem)["status"] == "interrupted"

    done = segengine(*RUN, folder=problem)
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    assert rows[-1]["step"] == 3 * EPOCHS
    assert state(problem)["status"] == "finished"


@pytest.mark.slow
def test_a_wrong_request_ends_with_its_own_code_and_words(problem: Path) -> None:
    code, said = ended(start(problem, "--gpus", "2", "-s", "data.source.root=nowhere"))
    assert code == 2
    assert "nowhere" in said


def test_more_gpus_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(
        RunError, match=r"--gpus 2: torch detects 1 GPU; give --gpus at most that many, or --device cpu"
    ):
        launch.check_devices(2, "auto")
    launch.check_devices(1, "auto")
    launch.check_devices(2, "cpu")


@pytest.mark.parametrize(
    ("codes", "killed", "meant"),
    [
        ({0: 0, 1: 0}, (), 0),
        ({0: 143, 1: 143}, (), 143),
        ({0: 130, 1: 130}, (), 130),
        ({0: 1, 1: -9}, (), 1),
        ({0: 2, 1: 2}, (), 2),
        ({0: 1, 1: 2}, (), 2),
        ({0: -9, 1: 1}, (0,), 1),
        ({0: -11, 1: 0}, (), 1),
    ],
)
def test_one_exit_code_says_what_all_mean(codes: dict[int, int], killed: tuple[int, ...], meant: int) -> None:
    assert launch._combined_exit_code(codes, frozenset(killed)) == meant
