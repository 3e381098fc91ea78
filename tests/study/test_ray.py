"""Studies on a Ray cluster of two nodes on this machine."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.training.children import told_to_end
from tests.training.small import SPEC, VARIANTS, Study, segengine, write_problem

ON_RAY = "executor: {name: ray, address: auto}\n"
EQUAL = ("checkpoints/weights.safetensors", "counts/test.csv", "counts/validation.csv", "images.csv")
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
PYTHON = [sys.executable, "-W", "ignore"]


HELD = """
import os
import signal
from pathlib import Path
from typing import Literal
from segengine.plugin import Loss

class Held(Loss):
    "Cross-entropy that stops its process at the second step, as long as nobody has stopped it before."
    name: Literal["held"] = "held"
    def build(self, **facts):
        from segengine.components.losses import CrossEntropy
        module = CrossEntropy().build(**facts)
        module.register_forward_pre_hook(self._stop)
        return module

    def _stop(self, module, inputs):
        module.steps = getattr(module, "steps", 0) + 1
        if module.steps == 2 and not Path("held").exists():
            Path("held.part").write_text(str(os.getpid()))
            Path("held.part").rename("held")
            os.kill(os.getpid(), signal.SIGSTOP)
"""


class Cluster:
    """Two nodes with a CPU each, in a process that ends with this one; what is in `site` can be imported on them."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.process = subprocess.Popen(
            [*PYTHON, "-m", "tests.study.two_nodes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2], env=os.environ | {"PYTHONPATH": str(site)},
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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests: that which kills a node leaves enough for the others."""
    made = Cluster(tmp_path_factory.mktemp("cluster") / "site")
    yield made
    made.close()


def command(problem: Path, cluster: Cluster, *more: str) -> "subprocess.Popen[str]":
    environment = os.environ | {
        "RAY_ADDRESS": cluster.address, "PYTHONPATH": str(cluster.site), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
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
def test_a_study_on_ray_that_is_asked_to_stop_saves_what_runs_and_goes_on_on_this_machine(
    cluster: Cluster, study: Study, tmp_path: Path, install: Callable[..., Path]
) -> None:
    cluster.site.symlink_to(install("acme", {"losses": {"held": "acme:Held"}}, HELD))
    write_problem(tmp_path, SPEC + VARIANTS + "loss: held\n")
    running = command(tmp_path, cluster, "--executor", "ray", "--jobs", "1")
    plain, said = tmp_path / "runs/blobs/plain-seed0", tmp_path / "said.txt"

    def until(happens: Callable[[], bool]) -> None:
        end = time.monotonic() + 300
        while not happens():
            assert running.poll() is None and time.monotonic() < end, said.read_text()  # noqa: PT018
            time.sleep(0.02)

    until((tmp_path / "held").exists)  # the run waits in its second step, however busy this machine is
    worker = psutil.Process(int((tmp_path / "held").read_text()))
    until(lambda: worker.status() == psutil.STATUS_STOPPED)
    try:
        running.terminate()
        until(lambda: told_to_end(worker.pid))
        assert not (plain / "checkpoints/last.pt").exists()
    finally:
        worker.resume()
    assert running.wait(120) == 143, said.read_text()
    assert "SIGTERM: saving after this step" in said.read_text()
    assert "not started slow-seed0" in said.read_text()
    assert json.loads((plain / "run.json").read_text())["status"] == "interrupted"
    assert (plain / "checkpoints/last.pt").exists()
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    assert "started after step" in (plain / "log.txt").read_text()
    assert_equal_runs(tmp_path, study)


def test_without_ray_there_is_one_line_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr(
        "segengine.study.executors.components.find_spec", lambda name: None if name == "ray" else real(name)
    )
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
    assert "variants.a.executor: applies to all variants; move it to the top level" in done.err
