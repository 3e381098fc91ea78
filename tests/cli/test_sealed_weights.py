"""`predict` and `evaluate` refuse weights that training didn't write or that can predict nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from segengine.engine import checkpoint
from segengine.errors import RunError
from tests.training.small import Study, segengine

RUN = "runs/blobs/plain-seed0"


@pytest.fixture
def run(tmp_path: Path, study: Study) -> Path:
    shutil.copytree(study.folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / RUN


def outcome(folder: Path, command: str) -> str:
    arguments = ["data/test/images/te0.png", "-o", "masks"] if command == "predict" else []
    done = segengine(command, RUN, *arguments, folder=folder)
    assert done.code == 1, done
    assert "Traceback" not in done.err
    assert not list((folder / "masks").glob("*")) if (folder / "masks").exists() else True
    return done.err


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_changed_weights_are_refused(run: Path, tmp_path: Path, command: str) -> None:
    path = run / "checkpoints/weights.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    tensors[name] = tensors[name] + 1e-6
    save_file(tensors, path)
    assert "weights.safetensors: was changed after training (its sha256 differs from the one in run.json)" in outcome(
        tmp_path, command
    )


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_weights_that_are_not_numbers_are_refused_without_a_recorded_hash_too(
    run: Path, tmp_path: Path, command: str
) -> None:
    path = run / "checkpoints/weights.safetensors"
    save_file({name: torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor
               for name, tensor in load_file(path).items()}, path)  # fmt: skip
    document = json.loads((run / "run.json").read_text())
    assert len(document.pop("weights")["sha256"]) == 64
    (run / "run.json").write_text(json.dumps(document))
    assert "contain NaN or infinity; the network is unusable" in outcome(tmp_path, command)


def test_weights_that_are_not_numbers_are_never_written(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(layer.weight, float("inf"))
    with pytest.raises(RunError, match=r"weights\.safetensors: the weights weight contain NaN or infinity"):
        checkpoint.save_weights(tmp_path / "weights.safetensors", layer)
    assert not list(tmp_path.iterdir())
