"""An exported file gives what the trained model gives, at any size, or isn't written."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segengine_runtime
import torch
from torch import nn

from segengine.inference.export import parity
from segengine.inference.export.job import Example
from segengine.nn.deployed import MatrixPooling
from tests.training.small import VALUES, Study, sample, segengine

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def exported(study: Study, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("exported") / "plain.onnx"
    done = segengine("export", study.run, "-o", path, "--json", "--licence", "CC-BY-4.0", folder=study.folder)
    assert done.code == 0, done.err
    return path, json.loads(done.out)


def test_the_file_agrees_with_the_trained_model_on_real_images_and_at_odd_sizes(
    exported: tuple[Path, dict[str, Any]],
) -> None:
    path, document = exported
    report = document["parity"]
    assert report["images"] == 2
    assert report["split"] == "validation"
    assert report["differing"] == report["differing_odd"] == 0
    assert report["largest_logit"] < 1e-3
    assert report["dice_exported"] == report["dice_trained"]
    assert document["bytes"] == path.stat().st_size
    assert {each.name for each in path.parent.iterdir()} == {path.name, "plain-model-card.md"}
    assert 'segengine.load("plain.onnx")' in (path.parent / "plain-model-card.md").read_text()


def test_its_metadata_say_what_it_is_and_where_it_comes_from(
    exported: tuple[Path, dict[str, Any]], study: Study
) -> None:
    facts = segengine_runtime.load(exported[0]).facts
    run = json.loads((study.run / "run.json").read_text())
    assert [label["name"] for label in facts["labels"]] == ["background", "disc", "square"]
    assert facts["licence"] == "CC-BY-4.0"
    assert facts["precision"] == "fp32"
    assert facts["parity"] == exported[1]["parity"]
    assert facts["provenance"]["spec"] == (study.run / "spec.yaml").read_text()
    assert facts["provenance"]["data_fingerprint"] == run["data"]["fingerprint"]
    assert facts["provenance"]["scores"] == run["scores"]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (37, 3), (97, 70), (65, 129)])
def test_images_of_any_size_get_the_masks_values_that_the_run_predicts(
    exported: tuple[Path, dict[str, Any]], study: Study, height: int, width: int
) -> None:
    import segengine as package

    image = np.tile(sample(5)[0], (3, 3))[:height, :width]
    theirs, ours = segengine_runtime.load(exported[0]).predict(image), package.load(study.run).predict(image)
    assert np.array_equal(theirs.mask, ours.mask)
    assert theirs.mask.shape == (height, width)
    assert set(np.unique(theirs.mask)) <= set(VALUES)
    assert np.allclose(theirs.probabilities, ours.probabilities, atol=1e-4)
    assert theirs.areas == ours.areas


def test_batches_are_predicted_together(exported: tuple[Path, dict[str, Any]]) -> None:
    model = segengine_runtime.load(exported[0])
    batch = np.stack([sample(seed)[0] for seed in (1, 2, 3)])[..., None]
    together = model.session.run(["mask"], {"image": batch})[0]
    assert all(np.array_equal(mask, model.predict(image).mask) for mask, image in zip(together, batch, strict=True))


def test_the_command_predicts_with_a_file_as_with_the_run(
    exported: tuple[Path, dict[str, Any]], study: Study, tmp_path: Path
) -> None:
    images = study.folder / "data/test/images"
    for source, out in ((exported[0], "file"), (study.run, "run")):
        done = segengine("predict", source, images, "-o", tmp_path / out, folder=tmp_path)
        assert done.code == 0, done.err
    files = sorted(path.name for path in (tmp_path / "run").glob("*.png"))
    assert len(files) == 2
    assert all((tmp_path / "file" / name).read_bytes() == (tmp_path / "run" / name).read_bytes() for name in files)


def test_a_file_that_exists_is_not_overwritten(exported: tuple[Path, dict[str, Any]], study: Study) -> None:
    done = segengine("export", study.run, "-o", exported[0], folder=study.folder)
    assert done.code == 2
    assert done.err == f"error: {exported[0]}: exists; choose another name, or use --overwrite\n"


def test_a_file_that_disagrees_is_not_written(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segengine.inference.export.export._trained_network", _wrong)
    done = segengine("export", study.run, "-o", tmp_path / "a.onnx", folder=study.folder)
    assert done.code == 1
    assert "of the pixels have a different class than with the trained model (limit 0.010%)" in done.err
    assert "use --accept-loss to keep such a file" in done.err
    assert list(tmp_path.iterdir()) == []


def _wrong(job: Any) -> parity.Network:
    def run(pixels: Any) -> tuple[Any, Any]:
        return np.full(pixels.shape[:2], 2, np.uint8), np.zeros((3, *pixels.shape[:2]), np.float32)

    return run


def test_an_int8_file_is_a_quarter_as_large_and_its_loss_is_judged(study: Study, tmp_path: Path) -> None:
    done = segengine(
        "export", study.run, "-o", tmp_path / "a.onnx", "--precision", "int8", "--accept-loss", "--json", folder=study.folder
    )  # fmt: skip
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["parity"]["differing"] < 0.05
    assert segengine_runtime.load(tmp_path / "a.onnx").facts["precision"] == "int8"


def test_the_runtime_loads_neither_torch_nor_the_package(exported: tuple[Path, dict[str, Any]], study: Study) -> None:
    code = (
        "import sys, segengine_runtime\n"
        "print(segengine_runtime.load(sys.argv[1]).predict(sys.argv[2]))\n"
        "assert not {'torch', 'segengine', 'cv2', 'pydantic'} & set(sys.modules), sys.modules.keys()\n"
    )
    image = next((study.folder / "data/test/images").glob("*.png"))
    done = subprocess.run(
        [sys.executable, "-c", code, str(exported[0]), str(image)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Prediction(48x48 pixels: background ")


@pytest.mark.parametrize("grid", [2, 3, 6])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (6, 13), (24, 6)])
def test_pooling_by_matrices_is_adaptive_pooling(grid: int, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    assert torch.allclose(MatrixPooling(grid, grid)(x), nn.AdaptiveAvgPool2d(grid)(x), atol=1e-6)


def test_the_limits_judge_pixels_and_mean_dice() -> None:
    truth = np.array([[0, 1], [1, 255]], np.uint8)

    def network(classes: Any) -> Callable[[Any], tuple[Any, Any]]:
        return lambda pixels: (
            classes[: pixels.shape[0], : pixels.shape[1]],
            np.zeros((2, *pixels.shape[:2]), np.float32),
        )

    wrong = np.array([[0, 0], [1, 0]], np.uint8)
    found = parity.measure_parity(
        network(np.where(truth == 255, 0, truth).astype(np.uint8)), network(wrong),
        [Example(np.zeros((2, 2, 1), np.uint8), truth)], split="test", names=["a", "b"], averaged=["b"], threads=1,
    )  # fmt: skip
    assert found.differing == 0.25
    assert found.dice_trained == {"a": 1.0, "b": 1.0}
    assert found.dice_exported == {"a": 0.666667, "b": 0.666667}
    assert found.problem(parity.LIMITS["fp32"]).startswith("25.000% of the pixels")
    assert found.problem(parity.LIMITS["int8"]) == "mean Dice decreases from 1.000 to 0.667 (limit 0.005)"
    assert found.problem(parity.Limits()) == ""


def test_an_unknown_format_is_named(study: Study, tmp_path: Path) -> None:
    done = segengine("export", study.run, "-o", tmp_path / "a.onnx", "--format", "onx", folder=study.folder)
    assert done.code == 2
    assert "there is no exporter 'onx'; did you mean 'onnx'?" in done.err
