"""Studies on a Ray cluster of two nodes on this machine."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workflow.small import SPEC, VARIANTS, Study, segengine, write_problem

ON_RAY = "executor: {name: ray, address: auto}\n"
EQUAL = ("checkpoints/weights.safetensors", "counts/test.csv", "counts/validation.csv", "images.csv")
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
PYTHON = [sys.executable, "-W", "ignore"]


class Cluster:
    """Two nodes with a CPU each, in a process that ends with this one."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [*PYTHON, "-m", "tests.study.two_nodes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        self.address = self.said()

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill_a_node(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()
        assert self.said() == "killed"

    def close(self) -> None:
        self.process.communicate(timeout=60)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.close()


def command(problem: Path, cluster: Cluster, *more: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"RAY_ADDRESS": cluster.address, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    words = [*PYTHON, "-m", "segengine", "run", "blobs.yaml", *more]
    said = (problem / "said.txt").open("w")
    with said:
        return subprocess.Popen(words, cwd=problem, env=environment, stdout=said, stderr=said, text=True)


def assert_equal_runs(problem: Path, study: Study) -> None:
    for name in ("plain-seed0", "slow-seed0"):
        mine, local = problem / "runs/blobs" / name, study.folder / "runs/blobs" / name
        for file in EQUAL:
            assert (mine / file).read_bytes() == (local / file).read_bytes(), file
        assert json.loads((mine / "run.json").read_text())["status"] == "finished"


@needs_ray
@pytest.mark.slow
def test_a_study_on_ray_gives_the_same_bits_though_a_node_dies_in_the_middle(
    cluster: Cluster, study: Study, tmp_path: Path
) -> None:
    often = SPEC.replace("  batch_size", "  checkpoint_every: {steps: 1}\n  batch_size")
    write_problem(tmp_path, often + VARIANTS + ON_RAY)
    runs = [tmp_path / "runs/blobs" / name for name in ("plain-seed0", "slow-seed0")]
    running = command(tmp_path, cluster)
    until = time.monotonic() + 300
    while not all((run / "checkpoints/last.pt").exists() for run in runs):  # one on each node
        assert running.poll() is None and time.monotonic() < until, (tmp_path / "said.txt").read_text()  # noqa: PT018
        time.sleep(0.02)
    cluster.kill_a_node()
    assert running.wait(300) == 0, (tmp_path / "said.txt").read_text()
    assert sum("started after step" in (run / "log.txt").read_text() for run in runs) == 1
    assert_equal_runs(tmp_path, study)


@needs_ray
@pytest.mark.slow
def test_a_study_on_ray_that_is_asked_to_stop_starts_no_other_run_and_goes_on_on_this_machine(
    cluster: Cluster, study: Study, tmp_path: Path
) -> None:
    write_problem(tmp_path, SPEC + VARIANTS)
    running = command(tmp_path, cluster, "--executor", "ray", "--jobs", "1")
    until = time.monotonic() + 300
    while not (tmp_path / "runs/blobs/plain-seed0/log.txt").exists():
        assert running.poll() is None and time.monotonic() < until, (tmp_path / "said.txt").read_text()  # noqa: PT018
        time.sleep(0.02)
    running.terminate()
    assert running.wait(120) == 143, (tmp_path / "said.txt").read_text()
    assert "not started slow-seed0" in (tmp_path / "said.txt").read_text()
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    assert_equal_runs(tmp_path, study)


def test_without_ray_there_is_one_line_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr("segengine.components.executors.find_spec", lambda name: None if name == "ray" else real(name))
    write_problem(tmp_path, SPEC + ON_RAY)
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 2
    assert done.err == "error: executor: ray needs a package that isn't installed; pip install 'segengine[ray]'\n"
    assert not (tmp_path / "runs").exists()


def test_an_executor_changes_no_number_and_is_no_part_of_a_run(study: Study, tmp_path: Path) -> None:
    assert "executor" not in (study.run / "spec.yaml").read_text()
    done = segengine("run", "blobs.yaml", "--executor", "ray", "--jobs", "3", "--json", folder=study.folder)
    assert done.code == 0, done.err
    assert [run["status"] for run in json.loads(done.out)] == ["finished", "finished"]


def test_a_wrong_executor_is_a_message(tmp_path: Path) -> None:
    write_problem(tmp_path, SPEC)
    done = segengine("run", "blobs.yaml", "--executor", "rai", folder=tmp_path)
    assert done.code == 2
    assert done.err == "error: -s executor=rai: executor: there is no executor 'rai'; did you mean 'ray'?\n"
    (tmp_path / "blobs.yaml").write_text(SPEC + "variants: {a: {executor: local}}\n")
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert "variants.a.executor: belongs to the whole file; move it to the top" in done.err
