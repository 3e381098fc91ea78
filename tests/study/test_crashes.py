"""Studies of which a run, or the command itself, dies."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock, Timeout

from tests.training.children import Blow, start, told_to_end
from tests.training.small import SPEC, VARIANTS, Study, segengine, write_problem

DOOM = """
import os
import signal
from typing import Literal
from segengine.plugin import Loss

class Doom(Loss):
    "A loss that ends its process."
    name: Literal["doom"] = "doom"
    how: str = "exit"
    def build(self, **facts):
        from torch import nn
        module = nn.Module()
        module.forward = self._end
        return module

    def _end(self, logits, target):
        if self.how == "exit":
            os._exit(9)
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise MemoryError("no room")
"""
DOOMED = """
variants:
  leaves: {loss: {name: doom, how: exit}}
  killed: {loss: {name: doom, how: kill}}
  eats: {loss: {name: doom, how: eat}}
  tame: {}
"""
EQUAL = ("checkpoints/weights.safetensors", "counts/test.csv", "counts/validation.csv", "images.csv")


def status(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


@pytest.mark.usefixtures("no_report")
def test_variants_that_always_crash_cost_only_themselves_and_the_table_says_why(
    tmp_path: Path, install: Callable[..., Path]
) -> None:
    install("acme", {"losses": {"doom": "acme:Doom"}}, DOOM)
    write_problem(tmp_path, SPEC.replace("epochs: 3", "epochs: 1") + DOOMED)
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 1
    runs = tmp_path / "runs/blobs"
    assert status(runs / "tame-seed0")["status"] == "finished"
    lines = done.err.splitlines()
    last = {name: next(line for line in reversed(lines) if name in line) for name in ("leaves", "killed", "eats")}
    assert last["leaves"] == "failed leaves-seed0: its process exited with code 9 without a message"
    assert last["killed"].startswith(
        "failed killed-seed0: its process was killed by SIGKILL (usually the kernel's out-of-memory killer"
    )
    assert last["eats"].startswith("failed eats-seed0: out of memory (no room); close other programs")
    assert "leaves   failed" in [line.rstrip() for line in lines]
    for name in ("leaves", "killed"):
        document = status(runs / f"{name}-seed0")
        assert document["status"] == "failed"
        assert f"failed {name}-seed0: {document['message']}" == last[name]
        assert document["message"] in (runs / f"{name}-seed0/log.txt").read_text()
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("no_report")
def test_a_run_that_dies_before_it_has_a_folder_is_named_below_the_comparison_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segengine.study import worker

    real = worker.execute

    def dies_early(plans: Any, *arguments: Any, **more: Any) -> Any:
        if plans[0].variant == "early":
            os._exit(9)
        return real(plans, *arguments, **more)

    monkeypatch.setattr(worker, "execute", dies_early)
    write_problem(
        tmp_path,
        SPEC.replace("epochs: 3", "epochs: 1") + "variants: {early: {}, plain: {}, slow: {training: {clip_norm: 2}}}\n",
    )
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 1
    assert not (tmp_path / "runs/blobs/early-seed0/run.json").exists()
    why = "its process exited with code 9 without a message"
    assert f"failed early-seed0: {why}" in done.err.splitlines()
    assert done.out.splitlines()[-1] == f"left out: early-seed0 (failed: {why})"
    page = Path("runs/blobs/comparison.html")
    assert done.err.splitlines()[-1] == f"page: {page}"
    assert "plain" in (tmp_path / page).read_text()


@pytest.fixture
def problem(study: Study, tmp_path: Path) -> Path:
    """A folder with the study's data and experiment, and no run."""
    write_problem(tmp_path, SPEC + VARIANTS)
    return tmp_path


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until, "it doesn't come"
        time.sleep(0.01)


def trains(run: Path) -> bool:
    return (run / "metrics.jsonl").exists()


def stopped(parent: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(parent).children() if child.status() == psutil.STATUS_STOPPED]


def free(run: Path) -> bool:
    try:
        FileLock(run / ".lock", timeout=0).acquire().lock.release()
    except Timeout:
        return False
    return True


def assert_goes_on_to_the_same_bits(problem: Path, study: Study) -> None:
    child = start("run", "blobs.yaml", folder=problem)
    child.join(100)
    assert child.exitcode == 0, (problem / "said.txt").read_text()
    for name in ("plain-seed0", "slow-seed0"):
        mine, undisturbed = problem / "runs/blobs" / name, study.folder / "runs/blobs" / name
        for file in EQUAL:
            assert (mine / file).read_bytes() == (undisturbed / file).read_bytes(), file
        assert status(mine)["status"] == "finished"


def test_when_the_command_is_killed_its_runs_end_with_it_and_go_on_to_the_same_bits(
    problem: Path, study: Study
) -> None:
    run = problem / "runs/blobs/plain-seed0"
    child = start("run", "blobs.yaml", folder=problem)
    wait_for(lambda: trains(run))
    child.kill()
    child.join(30)
    wait_for(lambda: free(run))
    assert status(run)["status"] in ("running", "finished")
    assert_goes_on_to_the_same_bits(problem, study)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_study_saves_what_runs_and_goes_on_to_the_same_bits(
    number: signal.Signals, problem: Path, study: Study
) -> None:
    # Each run stops itself in its second step, so that none can end before the signal has come.
    blow = Blow("segengine.engine.step:TrainingStep.__call__", 2, signal.SIGSTOP)
    child = start("run", "blobs.yaml", "--jobs", "2", folder=problem, blow=blow)
    runs = [problem / "runs/blobs" / name for name in ("plain-seed0", "slow-seed0")]
    wait_for(lambda: len(stopped(child.pid)) == 2)
    workers = stopped(child.pid)
    try:
        os.kill(child.pid, number)
        wait_for(lambda: all(told_to_end(worker.pid) for worker in workers))
        assert not any((run / "checkpoints/last.pt").exists() for run in runs)
    finally:
        for worker in workers:
            worker.resume()
    child.join(60)
    assert child.exitcode == 128 + number, (problem / "said.txt").read_text()
    assert [status(run)["status"] for run in runs] == ["interrupted"] * 2
    assert {status(run)["message"] for run in runs} == {"continue with the same command"}
    assert all((run / "checkpoints/last.pt").exists() for run in runs)
    assert "Traceback" not in (problem / "said.txt").read_text()
    assert_goes_on_to_the_same_bits(problem, study)
    assert all("started after step" in (run / "log.txt").read_text() for run in runs)


def test_after_an_interruption_the_rest_of_a_study_is_not_started(problem: Path) -> None:
    run = problem / "runs/blobs/plain-seed0"
    child = start("run", "blobs.yaml", folder=problem)
    wait_for((run / "log.txt").exists)
    os.kill(child.pid, signal.SIGTERM)
    child.join(60)
    assert child.exitcode == 128 + signal.SIGTERM
    assert not (problem / "runs/blobs/slow-seed0").exists()
    assert "not started slow-seed0" in (problem / "said.txt").read_text()


def test_a_run_of_a_study_that_is_killed_fails_alone_and_goes_on_to_the_same_bits(problem: Path, study: Study) -> None:
    run = problem / "runs/blobs/plain-seed0"
    child = start("run", "blobs.yaml", folder=problem)
    wait_for((run / "log.txt").exists)
    for process in psutil.Process(child.pid).children():
        process.kill()
    child.join(60)
    assert child.exitcode == 1
    assert (status(run)["status"], status(problem / "runs/blobs/slow-seed0")["status"]) == ("failed", "finished")
    assert "failed plain-seed0: its process was killed by SIGKILL" in (problem / "said.txt").read_text()
    assert_goes_on_to_the_same_bits(problem, study)


@pytest.mark.usefixtures("no_report")
def test_a_wrong_request_of_one_variant_ends_the_study_with_exit_code_2(tmp_path: Path) -> None:
    write_problem(tmp_path, SPEC + "variants:\n  wrong: {augmentations: [flip, cutmix, flip]}\n  right: {}\n")
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 2
    assert "flip follows cutmix, which mixes whole batches" in done.err.splitlines()[-1]
    assert done.err.splitlines()[-1].startswith("error: ")
