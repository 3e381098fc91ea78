"""A run says which file its backbone began with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import timm
from safetensors.torch import save_file

from tests.training.small import SPEC, segengine, write_problem


def test_a_run_and_its_report_name_the_file_of_weights_its_hash_and_its_coverage(tmp_path: Path) -> None:
    write_problem(tmp_path, SPEC.replace("model: test_resnet", "model: test_resnet, weights: w.safetensors"))
    path = tmp_path / "w.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    done = segengine("run", "blobs.yaml", "-s", "training.epochs=1", folder=tmp_path)
    assert done.code == 0, done.err
    [run] = (tmp_path / "runs/blobs").glob("*-seed0")
    facts = json.loads((run / "run.json").read_text())["initial_weights"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (facts["file"], facts["sha256"]) == (str(path), digest)
    assert facts["unused"] == ["fc.bias", "fc.weight"]
    page = (run / "report.html").read_text()
    assert digest in page
    assert (
        f"{facts['tensors']} of the backbone&#39;s {facts['tensors']} tensors; 2 keys of the file unused: fc.bias, "
        "fc.weight; first layer adapted to the images&#39; channels"
    ) in page
