"""The benchmarks' one command, with sizes that say nothing about speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import PARTS
from tests.benchmarks.table import OURS, rows_of

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_command_writes_each_part_asked_for_as_json_and_in_one_table(tmp_path: Path) -> None:
    wanted = ["step", "memory", "overhead"]
    words = [
        "--only",
        *wanted,
        "--quick",
        "--device",
        "cpu",
        "--json",
        str(tmp_path / "b.json"),
        "--markdown",
        str(tmp_path / "b.md"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "b.json").read_text())
    assert {row["part"] for row in found["rows"]} == set(wanted) < set(PARTS)
    assert all(row["value"] > 0 for row in found["rows"] if "added" not in row["case"])
    for part in wanted:
        assert OURS in {row["who"] for row in found["rows"] if row["part"] == part}
    assert found["machine"]["torch"]
    table = (tmp_path / "b.md").read_text()
    assert table == done.stdout
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(found["rows"])
    assert {line.count("|") for line in lines} == {7}


def test_a_target_is_met_or_missed_by_the_ratio_to_segengine() -> None:
    values = {OURS: 30.0, "plain": 10.0, "limit": 40.0}
    rows = {
        row.who: row for row in rows_of("step", "a", "images/s", values, {"plain": (">=", 3.0), "limit": (">=", 0.9)})
    }
    assert (rows["plain"].ratio, rows["plain"].met) == (3.0, True)
    assert (rows["limit"].ratio, rows["limit"].met) == (0.75, False)
    assert (rows[OURS].ratio, rows[OURS].met) == (None, None)
