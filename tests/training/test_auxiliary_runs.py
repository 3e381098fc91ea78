"""Auxiliary heads train, resume, and are gone from what a run leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.training.small import SPEC, segengine, write_problem

DENSE = SPEC.replace("decoder: {name: unet,", "auxiliary_weight: 0.4, decoder: {name: unet-plus-plus,")


@pytest.mark.usefixtures("no_report")
def test_a_run_with_deep_supervision_leaves_weights_without_its_heads(tmp_path: Path) -> None:
    write_problem(tmp_path, DENSE.replace("epochs: 3", "epochs: 1"))
    assert segengine("run", "blobs.yaml", folder=tmp_path).code == 0
    [run] = (tmp_path / "runs/blobs").glob("*-seed0")
    assert not any("auxiliary" in name for name in load_file(run / "checkpoints/weights.safetensors"))
    done = segengine("evaluate", str(run), "--json", folder=tmp_path)
    assert done.code == 0, done.err
    facts = json.loads((run / "run.json").read_text())
    plain = load_file(run / "checkpoints/weights.safetensors")
    assert facts["parameters"] <= sum(tensor.numel() for tensor in plain.values())
    assert facts["compilation"] == {
        "used": False,
        "why": "on a CPU most of the time is spent in convolutions, which compilation doesn't speed up",
    }
