import csv
import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from segengine.specs.load import load_experiment
from tests.training.small import VALUES, Study, opened, segengine

FILES = {
    ".lock", "experiment.yaml", "spec.yaml", "run.json", "cost.json", "images.csv", "files.csv", "metrics.jsonl", "counts/validation.csv",
    "counts/test.csv", "checkpoints/last.pt", "checkpoints/previous.pt", "checkpoints/best.pt", "checkpoints/weights.safetensors",
    "report.html", "log.txt", "model-card.md",
}  # fmt: skip


def run_json(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_times(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]


def counts_by_plain_loop(masks: Path, predictions: Path, images: list[dict]) -> set[tuple[int, int, int, int]]:
    """index, truth, predicted, pixels: every pixel of every image looked at once."""
    table: dict[tuple[int, int, int], int] = {}
    for row in images:
        truth = opened(masks / f"{Path(row['id']).name}.png")
        predicted = opened(predictions / f"{Path(row['id']).name}.png")
        assert truth.size == predicted.size
        for y in range(truth.height):
            for x in range(truth.width):
                cell = VALUES.index(truth.getpixel((x, y))), VALUES.index(predicted.getpixel((x, y)))
                table[int(row["index"]), *cell] = table.get((int(row["index"]), *cell), 0) + 1
    return {(*cell, pixels) for cell, pixels in table.items()}


@pytest.fixture(scope="module")
def run(study: Study) -> Path:
    assert study.done.code == 0, study.done.err
    return study.run


@pytest.fixture(scope="module")
def images(run: Path) -> list[dict]:
    return list(csv.DictReader((run / "images.csv").read_text().splitlines()))


def test_a_finished_run_has_every_file_and_no_temporary_one(run: Path) -> None:
    found = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert found - {name for name in found if name.startswith("figures/")} == FILES
    assert {name for name in found if name.startswith("figures/")} >= {
        f"figures/{name}.png" for name in ("augmentations", "classes", "confusion", "curves", "predictions")
    }


def test_the_experiment_file_is_kept_byte_for_byte(study: Study, run: Path) -> None:
    assert (run / "experiment.yaml").read_bytes() == (study.folder / "blobs.yaml").read_bytes()
    assert b"\r\n" in (run / "experiment.yaml").read_bytes()


def test_the_resolved_spec_has_every_default_written_out(run: Path) -> None:
    spec = yaml.safe_load((run / "spec.yaml").read_text())
    assert spec["training"]["schedule"]["name"] == "cosine"
    assert spec["training"]["checkpoint_every"] == {"epochs": 1, "steps": None, "minutes": None}
    assert Path(spec["data"]["source"]["root"]).is_absolute()
    loaded = load_experiment(run / "spec.yaml")
    assert (loaded.name, list(loaded.variants), loaded.seeds) == ("blobs", ["plain"], [0])


@pytest.mark.usefixtures("no_report")
def test_the_resolved_spec_runs_again_as_it_is_with_equal_numbers(run: Path, tmp_path: Path) -> None:
    done = segengine("run", run / "spec.yaml", "--out", tmp_path / "again", folder=tmp_path)
    again = tmp_path / "again/blobs/plain-seed0"
    assert done.code == 0, done.err
    assert without_times(metrics(again)) == without_times(metrics(run))
    for name in ("counts/test.csv", "counts/validation.csv", "images.csv", "checkpoints/weights.safetensors"):
        assert (again / name).read_bytes() == (run / name).read_bytes(), name
    assert (again / "spec.yaml").read_bytes() == (run / "spec.yaml").read_bytes()


def test_run_json_says_where_the_numbers_come_from(run: Path) -> None:
    document = run_json(run)
    assert (document["status"], document["message"], document["variant"], document["seed"]) == (
        "finished",
        "",
        "plain",
        0,
    )
    assert document["started"] <= document["ended"]
    assert document["seconds"] > document["train_seconds"] > 0
    assert document["host"]["name"]
    assert document["devices"] == ["CPU"]
    assert document["versions"]["python"] == platform.python_version()
    assert document["versions"]["torch"] == metadata.version("torch")
    assert document["plugins"] == {}
    assert document["command"]
    assert document["overrides"] == []
    assert document["budget"] == {"epochs": 3, "steps": 9, "images": 18}
    assert document["data"]["images"] == {"train": 5, "validation": 2, "test": 2}
    assert [(label["index"], label["name"], label["raw"]) for label in document["labels"]] == [
        (0, "background", 0), (1, "disc", 63), (2, "square", 252),
    ]  # fmt: skip
    assert len({tuple(label["colour"]) for label in document["labels"]}) == 3
    assert document["metric_policy"]["averaged"] == ["disc", "square"]
    assert document["metric_policy"]["left_out"] == ["background"]
    weights = load_file(run / "checkpoints/weights.safetensors")
    learned = [
        w
        for name, w in weights.items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked", "mean", "std"))
    ]
    assert document["parameters"] == sum(w.numel() for w in learned)
    assert document["macs"] > 0
    assert document["macs_size"] == [48, 48]


def test_images_csv_lists_every_image_once_with_its_split_and_size(images: list[dict]) -> None:
    assert [int(row["index"]) for row in images] == list(range(9))
    assert [row["id"] for row in images] == sorted(row["id"] for row in images)
    assert {row["split"] for row in images} == {"train", "validation", "test"}
    assert all(row["id"].startswith(row["split"]) for row in images)
    assert {(row["height"], row["width"]) for row in images} == {("48", "48")}


def test_metrics_have_one_line_an_epoch(run: Path) -> None:
    rows = metrics(run)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["step"] for row in rows] == [3, 6, 9]
    for row in rows:
        assert set(row) == {
            "epoch",
            "step",
            "train_loss",
            "learning_rate",
            "gradient_norm",
            "largest_gradient_norm",
            "seconds",
            "images_per_second",
            "validation",
        }
        assert set(row["validation"]["classes"]) == {"background", "disc", "square"}
        assert {"precision", "recall", "iou", "dice", "pixels", "images"} <= set(row["validation"]["classes"]["disc"])
        assert row["validation"]["mean"]["over"] == ["disc", "square"]
        assert row["validation"]["images"] == 2


@pytest.mark.parametrize("split", ["test", "validation"])
def test_counts_equal_a_plain_loop_over_the_pixels_of_predicted_masks(
    study: Study, run: Path, images: list[dict], split: str, tmp_path: Path
) -> None:
    folder = study.folder / "data" / split
    assert segengine("predict", run, folder / "images", "-o", tmp_path, folder=tmp_path).code == 0
    mine = [row for row in images if row["split"] == split]
    with (run / f"counts/{split}.csv").open() as file:
        assert file.readline() == "index,truth,predicted,pixels\n"
        written = [tuple(map(int, line.split(","))) for line in file]
    assert len(written) == len(set(written))
    assert set(written) == counts_by_plain_loop(folder / "masks", tmp_path, mine)


def test_the_best_epoch_is_the_one_with_the_highest_validation_dice(run: Path) -> None:
    scores = [row["validation"]["mean"]["dice"] or 0.0 for row in metrics(run)]
    best = run_json(run)["best"]
    assert best["epoch"] == 1 + int(np.argmax(scores))
    assert best["score"] == max(scores)


def test_scores_of_run_json_follow_from_the_counts(run: Path) -> None:
    rows = np.loadtxt(run / "counts/test.csv", delimiter=",", skiprows=1, dtype=np.int64)
    table = np.zeros((3, 3), dtype=np.int64)
    np.add.at(table, (rows[:, 1], rows[:, 2]), rows[:, 3])
    scores = run_json(run)["scores"]["test"]["classes"]
    for k, name in enumerate(("background", "disc", "square")):
        assert scores[name]["dice"] == pytest.approx(2 * table[k, k] / (table[k].sum() + table[:, k].sum()))
        assert scores[name]["iou"] == pytest.approx(table[k, k] / (table[k].sum() + table[:, k].sum() - table[k, k]))
        assert scores[name]["pixels"] == table[k].sum()


def test_weights_are_those_of_the_best_checkpoint(run: Path) -> None:
    best = torch.load(run / "checkpoints/best.pt", weights_only=True, map_location="cpu")["model"]
    weights = load_file(run / "checkpoints/weights.safetensors")
    assert set(weights) == set(best)
    assert all(torch.equal(weights[name], best[name]) for name in best)


def test_figures_are_pictures_and_the_report_shows_them_without_other_files(run: Path) -> None:
    for path in (run / "figures").glob("*.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 100, path
    page = (run / "report.html").read_text()
    assert "Blobs" in page
    assert "disc" in page
    assert 'src="figures/' not in page
    assert 'src="http' not in page


def test_the_log_tells_the_run_from_start_to_end(run: Path) -> None:
    lines = (run / "log.txt").read_text().splitlines()
    assert "started: 3 epochs of 3 steps" in lines[0]
    assert lines[-1].endswith("finished")
    assert sum("validation Dice" in line for line in lines) == 3


def test_the_fingerprint_is_of_ids_contents_and_splits(study: Study, run: Path) -> None:
    fingerprint = run_json(run)["data"]["fingerprint"]
    assert len(bytes.fromhex(fingerprint)) == hashlib.sha256().digest_size
    assert run_json(study.folder / "runs/blobs/slow-seed0")["data"]["fingerprint"] == fingerprint


def test_files_csv_holds_the_digest_of_every_image_and_mask(study: Study, run: Path, images: list[dict]) -> None:
    found = list(csv.DictReader((run / "files.csv").read_text().splitlines()))
    assert [row["index"] for row in found] == [row["index"] for row in images]
    for row, image in zip(found, images, strict=True):
        name = f"{Path(image['id']).name}.png"
        for kind in ("image", "mask"):
            content = (study.folder / "data" / image["split"] / f"{kind}s" / name).read_bytes()
            assert row[kind] == hashlib.sha256(content).hexdigest()


def test_run_json_says_how_large_samples_and_feature_maps_are(run: Path) -> None:
    assert run_json(run)["training_size"] == [32, 32]
    assert run_json(run)["strides"] == [2, 4, 8, 16, 32]
