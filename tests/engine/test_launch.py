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
from tests.workflow.small import SPEC, write_problem

RUN = (
    "run", "blobs.yaml", "--device", "cpu", "-s", "training.batch_size=6", "-s", "training.epochs=4",
    "-s", "training.checkpoint_every={steps: 1}",
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
def test_a_process_that_dies_ends_the_others_and_the_run_goes_on_in_another_number(problem: Path) -> None:
    first = start(problem, "--gpus", "2")
    until((problem / "runs/blobs/default-seed0/checkpoints/last.pt").exists)
    victim = rank(first, 1)
    began = time.monotonic()
    victim.kill()
    code, said = ended(first)
    assert time.monotonic() - began < launch.GRACE + 5
    assert code == 1, said
    assert "process 1 of 0 to 1 was killed (SIGKILL, mostly for want of memory); the others ended" in said
    assert "run the same command again: it goes on from the last checkpoint" in said
    assert state(problem)["status"] != "finished"
    # 13 images of 6 a step are 3 steps an epoch, whoever makes them.
    code, said = ended(start(problem, "--gpus", "3"))
    assert code == 0, said
    rows = [json.loads(line) for line in (problem / "runs/blobs/default-seed0/metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert state(problem)["status"] == "finished"


@pytest.mark.slow
def test_sigterm_lets_all_processes_save_and_its_exit_code_reaches_the_shell(problem: Path) -> None:
    first = start(problem, "--gpus", "2")
    until((problem / "runs/blobs/default-seed0/checkpoints/last.pt").exists)
    first.send_signal(signal.SIGTERM)
    code, said = ended(first)
    assert code == 143, said
    assert state(problem)["status"] == "interrupted"
    code, said = ended(start(problem))
    assert code == 0, said
    assert state(problem)["status"] == "finished"


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(problem: Path) -> None:
    first = start(problem, "--gpus", "2")
    until((problem / "runs/blobs/default-seed0/checkpoints/last.pt").exists)
    both = [rank(first, 0), rank(first, 1)]
    first.kill()
    ended(first)
    psutil.wait_procs(both, timeout=10)
    assert not [process for process in both if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
def test_a_wrong_request_ends_with_its_own_code_and_words(problem: Path) -> None:
    code, said = ended(start(problem, "--gpus", "2", "-s", "data.source.root=nowhere"))
    assert code == 2
    assert "nowhere" in said


def test_more_gpus_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(
        RunError, match=r"--gpus 2: torch sees 1 GPU here; give --gpus at most that many, or --device cpu"
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
    assert launch._meaning(codes, frozenset(killed)) == meant
