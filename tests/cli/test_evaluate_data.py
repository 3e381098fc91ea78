"""`segengine evaluate` on labelled images in other layouts, encodings and orders of classes, and on exported files."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segengine as package
from tests.training.small import Study, opened, segengine


def counts(path: Path) -> list[list[str]]:
    """Truth, predicted and pixels of each image, in order."""
    return [row[1:] for row in csv.reader(path.read_text().splitlines())][1:]


@pytest.fixture(scope="module")
def elsewhere(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test images in another layout: one folder, masks by suffix."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for path in sorted((study.folder / "data/test/images").glob("*.png")):
        shutil.copy(path, folder / path.name)
        shutil.copy(path.parents[1] / "masks" / path.name, folder / f"{path.stem}_mask.png")
    return folder


def test_counts_equal_those_of_the_run_to_the_last_pixel(study: Study, elsewhere: Path, tmp_path: Path) -> None:
    done = segengine("evaluate", study.run, elsewhere, "--counts", "a.csv", "--json", folder=tmp_path)
    assert done.code == 0, done.err
    assert counts(tmp_path / "a.csv") == counts(study.run / "counts/test.csv")
    own = segengine(
        "evaluate", study.run, study.folder / "data", "--split", "test", "--counts", "b.csv", "--json", folder=tmp_path
    )
    assert own.code == 0, own.err
    assert counts(tmp_path / "b.csv") == counts(study.run / "counts/test.csv")
    assert json.loads(done.out)["scores"]["mean"] == json.loads(own.out)["scores"]["mean"]


def test_an_exported_file_is_evaluated_like_its_run(study: Study, elsewhere: Path, tmp_path: Path) -> None:
    done = segengine("export", study.run, "-o", tmp_path / "model.onnx", folder=study.folder)
    assert done.code == 0, done.err
    arguments = (elsewhere, "--metric", "hd95", "--metric", "ece", "--counts")
    done = segengine("evaluate", tmp_path / "model.onnx", *arguments, "a.csv", "--json", folder=tmp_path)
    assert done.code == 0, done.err
    assert counts(tmp_path / "a.csv") == counts(study.run / "counts/test.csv")
    of_run = segengine("evaluate", study.run, *arguments, "b.csv", "--json", folder=tmp_path)
    first, second = (json.loads(each.out)["metrics"] for each in (done, of_run))
    assert first["hd95"] == second["hd95"]
    assert first["ece"]["mean"] == pytest.approx(second["ece"]["mean"], abs=1e-5)
    assert json.loads(done.out)["scores"] == json.loads(of_run.out)["scores"]
    done = segengine("evaluate", tmp_path / "model.onnx", folder=tmp_path)
    assert done.code == 2
    assert "give DATA, a folder of labelled images" in " ".join(done.err.split())


def test_classes_are_matched_by_name_where_values_differ(study: Study, tmp_path: Path) -> None:
    values = np.zeros(256, np.uint8)
    values[[0, 63, 252]] = 0, 2, 1  # square and disc in the other order
    for path in sorted((study.folder / "data/test/images").glob("*.png")):
        for kind in ("images", "masks"):
            (tmp_path / "other" / kind).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "other/images" / path.name)
        mask = np.asarray(opened(path.parents[1] / "masks" / path.name))
        Image.fromarray(values[mask]).save(tmp_path / "other/masks" / path.name)
    spec = (study.folder / "blobs.yaml").read_text()
    (tmp_path / "other.yaml").write_text(
        spec.replace("root: data", "root: other, images: 'images/*.png', masks: 'masks/*.png'").replace(
            "[background, disc, square]", "[background, Square, disc]"
        )
    )
    done = segengine("evaluate", study.run, "other.yaml", "--counts", "a.csv", folder=tmp_path)
    assert done.code == 0, done.err
    assert "3 classes matched by name" in done.err
    assert counts(tmp_path / "a.csv") == counts(study.run / "counts/test.csv")


def test_other_classes_are_refused_with_both_lists(study: Study, tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / "other" / kind).mkdir(parents=True)
    for path in sorted((study.folder / "data/test/images").glob("*.png")):
        shutil.copy(path, tmp_path / "other/images" / path.name)
        mask = np.asarray(opened(path.parents[1] / "masks" / path.name))
        Image.fromarray(np.where(mask > 0, mask + 1, 0).astype(np.uint8)).save(tmp_path / "other/masks" / path.name)
    done = segengine("evaluate", study.run, "other", folder=tmp_path)
    assert done.code == 2
    assert "was trained with different classes than the data has: background = 0, disc = 63, square = 252" in done.err


def test_a_folder_of_tables_and_worst_images_is_written_once(study: Study, elsewhere: Path, tmp_path: Path) -> None:
    done = segengine(
        "evaluate", study.run, elsewhere, "--out", "report", "--worst", "1", "--tta", "flips", folder=tmp_path
    )
    assert done.code == 0, done.err
    rows = list(csv.DictReader((tmp_path / "report/images.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == ["te0", "te1"]
    worst = min(rows, key=lambda row: float(row["mean"]))["image"]
    assert [path.name for path in (tmp_path / "report/worst").iterdir()] == [f"01-{worst}.png"]
    assert json.loads((tmp_path / "report/scores.json").read_text())["scores"]["images"] == 2
    done = segengine("evaluate", study.run, elsewhere, "--out", "report", folder=tmp_path)
    assert (done.code, done.err) == (
        2,
        "error: report: exists and is not an empty folder; choose another one with --out\n",
    )
    done = segengine("evaluate", study.run, "--out", "own", folder=study.folder)
    assert done.code == 0, done.err
    assert len(list((study.folder / "own/worst").iterdir())) == 2
    shutil.rmtree(study.folder / "own")


def test_an_ensemble_is_evaluated_on_data(study: Study, elsewhere: Path, tmp_path: Path) -> None:
    runs = sorted(study.run.parent.glob("*-seed0"))
    done = segengine("evaluate", *runs, elsewhere, "--json", folder=tmp_path)
    assert done.code == 0, done.err
    assert json.loads(done.out)["scores"]["images"] == 2
    done = segengine("evaluate", *runs, folder=tmp_path)
    assert done.code == 2
    done = segengine("evaluate", runs[0], elsewhere, "--save", folder=tmp_path)
    assert "--save and -s are for the run's own data" in " ".join(done.err.split())


def test_python_evaluates_other_data(study: Study, elsewhere: Path) -> None:
    model = package.load(study.run)
    assert model.evaluate(elsewhere)["mean"] == model.evaluate()["mean"]
