"""What the commands do, from Python: load, predict, run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import segengine
from segengine.errors import DataError, RunError, SpecError
from tests.training.small import SPEC, VALUES, Study, opened, sample, write_images


@pytest.fixture(scope="module")
def model(study: Study) -> segengine.Model:
    return segengine.load(study.run)


def test_importing_the_package_loads_no_large_library() -> None:
    code = (
        "import sys, segengine; dir(segengine); print(sorted({'torch', 'numpy', 'pydantic', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_is_there_and_unknown_ones_are_attribute_errors() -> None:
    assert all(getattr(segengine, name) is not None for name in segengine.__all__)
    assert set(segengine.__all__) <= set(dir(segengine))
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        _ = segengine.lod  # type: ignore[attr-defined]


def test_a_file_and_its_array_have_one_prediction(model: segengine.Model, study: Study) -> None:
    path = sorted((study.folder / "data/test/images").glob("*.png"))[0]
    of_file, of_array = model.predict(path), model.predict(np.array(opened(path)))
    assert np.array_equal(of_file.mask, of_array.mask)
    assert of_file.source == path
    assert of_array.source is None
    assert set(np.unique(of_file.mask)) <= set(VALUES)
    assert sum(of_file.areas.values()) == of_file.classes.size
    assert np.array_equal(of_file.probabilities.argmax(0), of_file.classes)
    assert np.allclose(of_file.probabilities.sum(0), 1, atol=1e-5)
    assert of_file._repr_png_().startswith(b"\x89PNG")
    assert of_file.overlay().shape == (48, 48, 3)


def test_a_list_gives_a_list(model: segengine.Model) -> None:
    found = model.predict([sample(1)[0], sample(2)[0]])
    assert [each.names for each in found] == [("background", "disc", "square")] * 2


def test_flips_make_the_prediction_equivariant(model: segengine.Model) -> None:
    image = sample(3)[0]
    plain, mirrored = model.predict(image, flips=True), model.predict(np.ascontiguousarray(image[:, ::-1]), flips=True)
    assert np.allclose(plain.probabilities[:, :, ::-1], mirrored.probabilities, atol=1e-4)


def test_a_saved_mask_is_as_the_training_masks_and_overwrites_nothing(model: segengine.Model, tmp_path: Path) -> None:
    prediction = model.predict(sample(1)[0])
    path = prediction.save(tmp_path / "mask")
    assert path == tmp_path / "mask.png"
    assert np.array_equal(np.array(opened(path)), prediction.mask)
    with pytest.raises(Exception, match="exists; choose another name"):
        prediction.save(path)
    prediction.save(path, overwrite=True)
    with pytest.raises(Exception, match="other formats change the values"):
        prediction.save(tmp_path / "mask.jpg")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 4), np.uint16), "was trained on 8-bit images"),
        (np.zeros((4, 4, 5), np.uint8), "has 5 channels"),
        (np.zeros((2, 4, 4, 1), np.uint8), r"an array \[H, W\] or \[H, W, C\]"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(model: segengine.Model, array: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        model.predict(array)


def test_scores_are_those_of_the_run(model: segengine.Model, study: Study) -> None:
    assert model.evaluate()["mean"]["dice"] == pytest.approx(segengine.Run(study.run).scores["test"]["mean"]["dice"])


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"not a model")
    with pytest.raises(RunError, match="not a readable ONNX model"):
        segengine.load(tmp_path / "a.onnx")
    with pytest.raises(RunError, match="not a run folder"):
        segengine.load(tmp_path)


@pytest.mark.usefixtures("no_report")
def test_an_experiment_can_be_a_dictionary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "data")
    spec = yaml.safe_load(SPEC)
    (run,) = segengine.run(spec, ["training.epochs=1"], out=tmp_path / "runs")
    assert run.status == "finished"
    assert [row["epoch"] for row in run.history] == [1]
    assert run.load().predict(sample(1)[0]).mask.shape == (48, 48)
    again = segengine.run(spec, ["training.epochs=1"], out=tmp_path / "runs")
    assert again == [run]
    with pytest.raises(SpecError, match="unknown setting"):
        segengine.run({**spec, "clases": 3})
