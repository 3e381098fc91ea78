from __future__ import annotations

import json
from typing import Any

import pytest
from rich.console import Console

from segengine.comparison.costs import costs_of
from segengine.comparison.judge import judge
from segengine.comparison.render.json import document
from segengine.comparison.render.markdown import markdown
from segengine.comparison.render.terminal import terminal
from segengine.comparison.summary import Comparison, compare_folders
from segengine.comparison.tables import tables_of
from segengine.runs import names
from segengine.runs.costs import CostRecord, Latency, Memory, Rounds, Throughput, read_cost, write_cost
from segengine.runs.folder import RunFolder
from tests.comparison.conftest import Make


def record(latency: float = 10.0, **facts: Any) -> CostRecord:
    return CostRecord.model_validate({
        "measured": "2026-01-01T00:00:00+00:00", "by": "cost", "network_of": "abdomen/vgg-seed0", "device": "A100",
        "threads": None, "torch": "2.9", "precision": "bf16", "channels": 1, "size": (256, 256),
        "latency": Latency(batch=1, repeats=50, median_ms=latency, low_ms=latency - 1, high_ms=latency + 2),
        "throughput": Throughput(batch=8, repeats=10, images_per_second=4000 / latency),
        "memory": Memory(kind="cuda", peak_bytes=int(latency) << 20, batch=8),
    } | facts)  # fmt: skip


def compared(folder: RunFolder) -> Comparison:
    [found] = compare_folders([folder.path.parent], folder.path.parent)
    assert isinstance(found, Comparison)
    return found


@pytest.fixture
def three(make: Make) -> RunFolder:
    """A good and slow, a worse and fast, and a bad and slower variant."""
    for name, quality, latency in (("vgg", 0.9, 30.0), ("small", 0.8, 5.0), ("old", 0.7, 40.0)):
        for seed in (0, 1):
            folder = make(name, seed=seed, quality=quality)
            write_cost(folder, record(latency + seed))
    return folder


def test_what_is_written_to_cost_json_is_read_again(make: Make) -> None:
    folder = make("vgg")
    assert read_cost(folder) is None
    write_cost(folder, record())
    assert read_cost(folder) == record()
    assert json.loads((folder / names.COST).read_text())["latency"]["median_ms"] == 10.0
    assert not list(folder.path.glob(".*.part"))


def test_costs_are_medians_over_runs_and_the_front_is_by_mean_score(three: RunFolder) -> None:
    costs = {cost.key: cost for cost in costs_of(compared(three), "dice")}
    assert {v.variant: v.value for v in costs["latency"].variants} == {"vgg": 30.5, "small": 5.5, "old": 40.5}
    assert costs["latency"].front == ("small", "vgg")
    assert costs["throughput"].front == ("small", "vgg")
    assert costs["memory"].condition == (
        "batch 8, memory allocated on the GPU, A100, precision bf16, 256x256 pixels, torch 2.9, measured by `segengine cost`"
    )
    assert costs["parameters"].front == ("vgg",)  # all are equally large
    assert not any(cost.problem for cost in costs.values())


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"device": "H100"}, "A100 and H100"),
        ({"size": (512, 512)}, "256x256 pixels and 512x512 pixels"),
        ({"device": "A100", "threads": 2}, ""),
        ({"by": "run"}, "measured by `segengine cost` and measured at the run's end"),
    ],
)
def test_costs_measured_differently_are_shown_and_not_compared(
    three: RunFolder, facts: dict[str, Any], said: str
) -> None:
    write_cost(three, record(40.0, **facts))
    found = compared(three)
    latency = next(cost for cost in costs_of(found, "dice") if cost.key == "latency")
    assert (latency.problem, latency.front) == (
        f"measured differently: {said}" * bool(said),
        () if said else ("small", "vgg"),
    )
    text = markdown(judge(found, "dice"))
    assert ("measured differently" in text) == bool(said)


def test_memory_and_time_of_training_with_gradient_checkpointing_are_shown_beside_and_not_compared(make: Make) -> None:
    memory = {"train_memory": {"kind": "resident", "peak_bytes": 2**30}}
    make("vgg", quality=0.9, **memory)
    folder = make("small", settings={"training.gradient_checkpointing": True}, **memory)
    found = compared(folder)
    assert found.confounders == ()
    costs = {cost.key: cost for cost in costs_of(found, "dice")}
    for key in ("train_memory", "minutes", "images_per_second"):
        assert sorted(costs[key].problem.removeprefix("measured differently: ").split(" and ")) == [
            "CPU",
            "CPU with gradient checkpointing",
        ]
        assert costs[key].front == ()
    assert costs["parameters"].problem == ""


def test_runs_without_measured_costs_are_compared_by_what_they_have(make: Make) -> None:
    make("vgg", quality=0.9)
    folder = make("small", parameters=1000)
    keys = [cost.key for cost in costs_of(compared(folder), "dice")]
    assert keys == ["parameters", "macs", "minutes", "images_per_second"]


def test_a_damaged_cost_file_is_named_and_the_run_stays(make: Make) -> None:
    folder = make("vgg")
    (folder / names.COST).write_text('{"format": 1}')
    found = compared(folder)
    assert list(judge(found, "dice").said.fairness.notes)[-1:] == [
        f"{folder / names.COST}: not readable (measured: Field required); measure again with `segengine cost {folder.path}`"
    ]
    assert [v.name for v in found.variants] == ["vgg"]


def test_tables_keep_to_100_columns_and_mark_the_front(three: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    found = compared(three)
    terminal(judge(found, "dice"), Console(width=100, highlight=False))
    lines = capsys.readouterr().out.splitlines()
    header = next(i for i, line in enumerate(lines) if "latency, ms" in line)
    assert " ".join(lines[header].split()) == ("variant parameters MACs per image latency, ms images/s memory, MiB")
    rows = {line.split()[0]: line.split()[1:] for line in lines[header + 1 : header + 4]}
    assert rows["small"] == ["9.2", "M", "7.6", "G", "*5.5", "*733.3", "*5.5"]
    assert rows["old"] == ["9.2", "M", "7.6", "G", "40.5", "98.8", "40.5"]
    assert len(lines[header]) <= 100
    assert any("drawn by mean scores alone" in line for line in lines)


def test_a_busy_machine_is_said_and_marked_and_no_front_is_drawn_from_it(three: RunFolder) -> None:
    busy = Rounds(median_ms=(30.0, 90.0), spread=3.0, other_cores=1.2, attempts=2, busy=True)
    steady = Rounds(median_ms=(30.0, 31.0), spread=31 / 30, other_cores=0.0)
    write_cost(three, record(1634.0, rounds=busy))
    write_cost(RunFolder(three.path.parent / "vgg-seed0"), record(30.0, rounds=steady))
    found = judge(compared(three), "dice")
    costs = {cost.key: cost for cost in found.costs}
    for key in ("latency", "throughput"):
        assert costs[key].front == ()
        assert costs[key].problem == "measured on a busy machine: old; repeat with `segengine cost`"
        assert [v.variant for v in costs[key].variants if v.busy] == ["old"]
    assert costs["memory"].front == ("small", "vgg")
    assert "no front by latency, throughput: measured on a busy machine: old; repeat with `segengine cost`" in (
        found.said.fairness.notes
    )
    table = next(table for table in tables_of(found) if table.name == "costs")
    assert table.caption.endswith("; ? was measured on a busy machine")
    latency = next(column for column in table.columns if column.key == "latency")
    assert [cell.text for cell in latency.cells] == ["30.5", "5.5", "837.0?"]


def test_json_has_every_cost_with_its_front(three: RunFolder) -> None:
    costs = {cost["key"]: cost for cost in document(judge(compared(three), "dice"))["costs"]}
    assert costs["latency"]["front"] == ["small", "vgg"]
    assert costs["latency"]["variants"][0]["minimum"] <= costs["latency"]["variants"][0]["value"]
    assert json.dumps(costs)


def test_equal_minutes_are_told_with_what_they_came_to(make: Make) -> None:
    for name, steps in (("vgg", 40), ("small", 90)):
        trained = {"epochs": steps / 20, "steps": steps, "images": 8 * steps, "minutes": 20.0}
        folder = make(
            name, settings={"training.epochs": None, "training.minutes": 20}, budget={"minutes": 20.0}, trained=trained
        )
    found = compared(folder)
    came = next(line for line in judge(found, "dice").said.fairness.notes if line.startswith("budget"))
    assert came.startswith("budget: 20 minutes of training each, which came to: ")
    assert set(came.partition("to: ")[2].split("; ")) == {
        "vgg 2.0 epochs (40 steps, 320 images)", "small 4.5 epochs (90 steps, 720 images)",
    }  # fmt: skip
    assert [c.path for c in found.confounders] == []
