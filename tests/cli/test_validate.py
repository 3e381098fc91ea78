from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from segengine.cli.main import cli

BASE = "data: {source: {name: folders, root: data}}\nmodel: {backbone: vgg}\nseeds: [0, 1]\n"


@pytest.mark.parametrize(
    ("text", "words", "runs"),
    [
        ("", "1 variant x 2 seeds = 2 runs", 2),
        ("variants: {a: {}, b: {}}", "2 variants x 2 seeds = 4 runs", 4),
        ("variants: {a: {data: {split: {folds: 5}}}}", "1 variant x 5 folds x 2 seeds = 10 runs", 10),
        ("variants: {a: {data: {split: {folds: 5, fold: 1}}}}", "1 variant x 2 seeds = 2 runs", 2),
        ("variants: {a: {data: {split: {folds: 5}}}, b: {}}", "12 runs, with different numbers of folds", 12),
    ],
)
def test_folds_count_as_runs(tmp_path: Path, text: str, words: str, runs: int) -> None:
    spec = tmp_path / "e.yaml"
    spec.write_text(BASE + text)
    said = CliRunner().invoke(cli, ["validate", str(spec)]).output
    assert said.splitlines()[0] == f"{spec}: valid; {words}"
    document = json.loads(CliRunner().invoke(cli, ["validate", str(spec), "--json"]).output)
    assert document["experiments"][0]["runs"] == runs
