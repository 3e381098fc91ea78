"""Costs and budgets of whole runs: what they record, and `segengine cost`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from segengine.runs import names
from segengine.runs.costs import read_cost
from segengine.runs.folder import RunFolder
from tests.training.small import SPEC, Study, segengine, write_problem


def run_json(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / names.RUN).read_text()))


def test_a_run_records_what_its_network_costs(study: Study) -> None:
    cost, run = read_cost(RunFolder(study.run)), run_json(study.run)
    assert cost is not None
    assert (cost.by, cost.network_of, cost.size, cost.channels) == ("run", "blobs/plain-seed0", (48, 48), 1)
    assert cost.latency.low_ms <= cost.latency.median_ms <= cost.latency.high_ms
    assert cost.throughput is not None
    assert cost.throughput.batch == 1  # 2 crops of 32x32 in a step are less than one image
    assert run["trained"]["epochs"] == 3.0
    assert (run["trained"]["steps"], run["trained"]["images"]) == (run["budget"]["steps"], run["budget"]["images"])
    assert run["trained"]["minutes"] == pytest.approx(run["train_seconds"] / 60, abs=0.001)
    assert run["train_memory"]["peak_bytes"] > 4 * 4 * run["parameters"]  # weights, gradients, two moments


def test_cost_measures_shared_networks_once_for_all_their_runs(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.folder / "runs", tmp_path / "runs")
    unfinished = tmp_path / "runs/blobs/late-seed0"
    shutil.copytree(study.run, unfinished)
    RunFolder(unfinished).update(status="interrupted")
    before = (unfinished / names.COST).read_bytes()
    options = ("--batch", "2", "--repeats", "5", "--size", "32x40", "--device", "cpu")
    done = segengine("cost", "runs", *options, "--json", folder=tmp_path)
    assert done.code == 0, done.err
    found = json.loads(done.out)["runs"]
    assert [entry["run"] for entry in found] == ["runs/blobs/plain-seed0", "runs/blobs/slow-seed0"]
    plain, slow = (entry["cost"] for entry in found)
    assert plain == slow  # they differ in their learning rate
    assert (plain["network_of"], plain["by"], plain["size"]) == ("blobs/plain-seed0", "cost", [32, 40])
    assert (plain["latency"]["repeats"], plain["throughput"]["repeats"], plain["throughput"]["batch"]) == (5, 5, 2)
    assert plain["memory"]["kind"] == "resident"
    assert plain["memory"]["peak_bytes"] > 4 * run_json(study.run)["parameters"]
    stored = read_cost(RunFolder(tmp_path / "runs/blobs/slow-seed0"))
    assert stored is not None
    assert stored.model_dump(mode="json") == slow
    assert "late-seed0: not measured: its status is interrupted" in done.err
    assert (unfinished / names.COST).read_bytes() == before


def test_a_folder_without_finished_runs_is_a_wrong_request(tmp_path: Path) -> None:
    done = segengine("cost", "nothing", folder=tmp_path)
    assert (done.code, done.err) == (
        2, "error: nothing: contains no finished run; train one with `segengine run SPEC`\n"
    )  # fmt: skip


@pytest.mark.usefixtures("no_report")
def test_a_run_of_minutes_records_what_the_time_came_to(tmp_path: Path) -> None:
    spec = SPEC.replace("epochs: 3", "minutes: 0.002") + "evaluation: {cost: false}\n"
    write_problem(tmp_path, spec)
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    folder = tmp_path / "runs/blobs/default-seed0"
    run = run_json(folder)
    assert run["budget"] == {"minutes": 0.002}
    assert run["trained"]["steps"] >= 1
    assert run["trained"]["images"] == 2 * run["trained"]["steps"]
    assert run["trained"]["minutes"] >= 0.002
    assert run["scores"]["test"]
    assert not (folder / names.COST).exists()
    assert "training has a time budget" in (folder / names.LOG).read_text()
    assert "minutes: 0.002" in (folder / names.SPEC).read_text()
    again = segengine("run", "blobs.yaml", "-s", "training.minutes=3", folder=tmp_path)
    assert "training.minutes: 0.002 -> 3.0" in again.err


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (
            "epochs: 3\n  minutes: 2",
            "training: has both epochs and minutes as its budget; remove one (epochs: null removes an inherited value)",
        ),
        ("epochs: null", "training: has no budget; set epochs or minutes"),
        ("minutes: 0", "training.minutes: must be greater than 0, not 0"),
    ],
)  # fmt: skip
def test_one_budget_is_given(tmp_path: Path, training: str, said: str) -> None:
    write_problem(tmp_path, SPEC.replace("epochs: 3", training))
    done = segengine("validate", "blobs.yaml", folder=tmp_path)
    assert done.code == 2
    assert said in done.err


def test_a_variant_takes_the_epochs_back(tmp_path: Path) -> None:
    write_problem(tmp_path, SPEC + "variants:\n  timed: {training: {minutes: 2, epochs: null}}\n")
    done = segengine("validate", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    assert "2 minutes, batch size 2" in done.out
