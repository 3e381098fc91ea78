"""Standard output belongs to the document, and nothing in a file or a name is a command for the terminal or a spreadsheet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segengine.cli.output import escape
from segengine.errors import RunError, printable
from segengine.files import csv_cell, csv_text
from segengine.runs.costs import read_cost
from segengine.runs.folder import RunFolder
from segengine.runs.tables import ImageRow, read_images, read_metrics, write_images

SPEC = "data: {source: {name: folders, root: data}}\nmodel: {backbone: vgg}\n"


def command(*arguments: str, folder: Path, shell: str = "", **more: Any) -> subprocess.CompletedProcess[str]:
    line = ["bash", "-c", f'exec "$@" {shell}', "bash", sys.executable, "-m", "segengine", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, timeout=120, **more)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"), ("a\nb", "a\\nb"), ("\x9b31m", "\\x9b31m"), ("a\u202eb", "a\\u202eb"),
        ("a\u2066b", "a\\u2066b"), ("\udcff", "\\udcff"), ("Größe 1 µm, 東京", "Größe 1 µm, 東京"), ("a\tb", "a\tb"),
    ],
)  # fmt: skip
def test_what_a_terminal_obeys_is_escaped_and_the_rest_stays(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_rich_markup_is_text() -> None:
    assert escape("[bold]\x1b[2J") == "\\[bold]\\x1b[2J"


def test_a_file_name_does_not_command_the_terminal(tmp_path: Path) -> None:
    name = "\x1b]0;owned\x07\u202e.yaml"
    (tmp_path / name).write_text(SPEC)
    (tmp_path / "b.yaml").write_text(SPEC + "loss: dcie")
    done = command("validate", name, "b.yaml", "no\x1b[2J.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert not any(character in done.stdout + done.stderr for character in "\x1b\x07\u202e")
    assert "\\x1b]0;owned\\x07\\u202e.yaml: valid" in done.stdout
    assert "no\\x1b[2J.yaml: no such file" in done.stderr


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"), ("@x", "'@x"), ("+1", "'+1"), ("-1", "'-1"), ("\t=1", "'\t=1"), ("'=1", "''=1"), ("a=1", "a=1"),
        ("'a", "'a"), ("", ""),
    ],
)  # fmt: skip
def test_no_cell_is_evaluated_and_every_text_comes_back(text: str, cell: str) -> None:
    assert csv_cell(text) == cell
    assert csv_text(cell) == text


def test_ids_that_look_like_formulas_survive_images_csv(tmp_path: Path) -> None:
    rows = [ImageRow(0, "=cmd|' /C calc'!A0", "-p1", "test", 3, 4), ImageRow(1, "'=x", "p,2", "test", 3, 4)]
    write_images(tmp_path / "images.csv", rows)
    assert "\n0,'=cmd" in (tmp_path / "images.csv").read_text()
    assert read_images(tmp_path / "images.csv") == rows


PRINTS = """\
import os, sys
print("hello from a plugin")
os.write(1, b"raw bytes\\n")
from typing import Literal
from segengine.plugin import Loss
class Noisy(Loss):
    "A loss that prints."
    name: Literal["noisy"] = "noisy"
"""


def test_what_a_plugin_prints_is_not_in_the_document(install: Callable[..., Path], tmp_path: Path) -> None:
    site = install("acme", {"losses": {"noisy": "acme:Noisy"}}, PRINTS)
    (tmp_path / "e.yaml").write_text(SPEC + "loss: noisy")
    done = command("validate", "e.yaml", "--json", folder=tmp_path, env={**os.environ, "PYTHONPATH": str(site)})
    assert json.loads(done.stdout)["valid"] is True
    assert {"hello from a plugin", "raw bytes"} <= set(done.stderr.splitlines())


def test_where_results_can_not_be_written_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(SPEC)
    for arguments in (["validate", "e.yaml"], ["validate", "e.yaml", "--json"]):
        full = command(*arguments, folder=tmp_path, shell="> /dev/full")
        assert (full.returncode, full.stderr) == (1, "error: can't write: the disk is full\n")
    closed = command("validate", "e.yaml", "--json", folder=tmp_path, shell=">&-")
    assert (closed.returncode, closed.stderr) == (2, "error: --json writes to standard output, which is closed\n")
    (tmp_path / "runs").mkdir()
    for arguments in (["validate", "e.yaml"], ["runs"]):
        closed = command(*arguments, folder=tmp_path, shell=">&-")
        assert (closed.returncode, closed.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"format": 1, "title": "\\ud83d"}', r"it contains an unpaired surrogate, U\+D83D"),
        ('{"format": 1, "seed": NaN}', "it contains NaN, which is not valid JSON"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"format": 1', "JSONDecodeError: Expecting"),
    ],
)
def test_a_damaged_run_json_is_an_error_in_words(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunError, match=rf"run\.json: not readable \(.*{said}.*\); the run folder is damaged"):
        RunFolder(tmp_path).read()


def test_no_number_in_a_cost_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "cost.json").write_text('{"latency": {"median_ms": NaN}}')
    with pytest.raises(
        RunError, match=r"cost\.json: not readable \(ValueError: it contains NaN, which is not valid JSON\)"
    ):
        read_cost(RunFolder(tmp_path))


def test_damaged_tables_are_errors_in_words(tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_text(f"index,id,group,split,height,width\n0,{'x' * 200_000},g,test,1,1\n")
    with pytest.raises(RunError, match=r"images\.csv: not a readable table of images \(field larger than field limit"):
        read_images(tmp_path / "images.csv")
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "train_loss": NaN}\n{"epoch": 2}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl:1: not a line of JSON \(it contains NaN"):
        read_metrics(tmp_path / "metrics.jsonl")
