"""Runs and `evaluate` measure metrics of each image; their tables are what comparisons start from."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segengine.metrics.pairs import ImagePair
from segengine.metrics.surface import hausdorff, nsd
from tests.training.small import SPEC, VALUES, Study, contents, opened, segengine, write_problem

METRICS = "evaluation: {metrics: [hd95, {name: nsd, tolerance: 2}, ece], spacing: [0.5, 1.5], cost: false}\n"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def problem(tmp_path: Path, no_report: None) -> Path:
    write_problem(tmp_path, SPEC.replace("epochs: 3", "epochs: 1") + METRICS, validation=1)
    return tmp_path


def test_a_run_measures_its_test_images_as_anyone_would_from_its_predictions(problem: Path) -> None:
    done = segengine("run", "blobs.yaml", folder=problem)
    assert done.code == 0, done.err
    run = problem / "runs/blobs/default-seed0"
    assert sorted(path.name for path in (run / "metrics").iterdir()) == [
        "test-ece.csv", "test-ece.json", "test-hd95.csv", "test-hd95.json", "test-nsd-tolerance-2.csv", "test-nsd-tolerance-2.json",
    ]  # fmt: skip
    segengine("predict", run, "data/test/images", "-o", "predicted", folder=problem)
    images = {row["index"]: row["id"] for row in rows(run / "images.csv")}
    for label, metric in (("hd95", lambda p: hausdorff(p, 95)), ("nsd-tolerance-2", lambda p: nsd(p, 2))):
        table = rows(run / f"metrics/test-{label}.csv")
        assert len(table) == 2 * 2  # images and classes without background
        for row in table:
            stem = Path(images[row["index"]]).name
            truth, found = (
                np.searchsorted(VALUES, np.asarray(opened(path))).astype(np.uint8)
                for path in (problem / f"data/test/masks/{stem}.png", problem / f"predicted/{stem}.png")
            )
            k = int(row["class"])
            pair = ImagePair(truth, found, 3, (1, 2), (0.5, 1.5))
            assert row["state"] == pair.state(k)
            expected = metric(pair)[k]
            assert row["value"] == ("" if np.isnan(expected) else repr(float(expected)))
    assert [row["class"] for row in rows(run / "metrics/test-ece.csv")] == ["", ""]
    stored = json.loads((run / "run.json").read_text())["metrics"]["test"]
    assert (stored["hd95"]["unit"], stored["hd95"]["better"], stored["ece"]["unit"]) == ("mm", "lower", None)
    assert stored["hd95"]["classes"]["disc"].keys() == {
        "mean",
        "images",
        "neither",
        "truth_only",
        "prediction_only",
        "both",
    }

    before = contents(run)
    again = segengine("evaluate", run, "--json", folder=problem)
    assert json.loads(again.out)["metrics"] == stored
    assert contents(run) == before
    assert segengine("evaluate", run, "--save", folder=problem).code == 0
    assert {name: text for name, (_, text) in contents(run).items() if "metrics/" in name} == {
        name: text for name, (_, text) in before.items() if "metrics/" in name
    }


def test_metrics_change_no_weight_and_no_count(problem: Path) -> None:
    (problem / "plain.yaml").write_text((problem / "blobs.yaml").read_text().replace(METRICS, ""))
    for name in ("blobs.yaml", "plain.yaml"):
        assert segengine("run", name, folder=problem).code == 0
    measured, plain = (problem / f"runs/{name}/default-seed0" for name in ("blobs", "plain"))
    for name in ("checkpoints/weights.safetensors", "counts/test.csv", "counts/validation.csv"):
        assert (measured / name).read_bytes() == (plain / name).read_bytes()
    # What was trained before may be measured later: metrics are no other settings of a run.
    (problem / "plain.yaml").write_text((problem / "blobs.yaml").read_text())
    assert segengine("run", "plain.yaml", folder=problem).code == 0


def test_evaluate_measures_and_keeps_only_what_is_asked_for(study: Study, tmp_path: Path) -> None:
    before = contents(study.run)
    done = segengine(
        "evaluate", study.run, "--metric", "assd", "--metric", "{name: nsd, tolerance: 3}", folder=tmp_path
    )
    assert done.code == 0, done.err
    assert "ASSD, pixels: means over 2 images, lower is better" in done.out
    assert "NSD (tolerance 3): means over 2 images, higher is better" in done.out
    assert "missed  only predicted  without it" in done.out
    assert contents(study.run) == before


def test_what_evaluate_refuses_before_anything_is_computed(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computes(*_: object, **__: object) -> None:
        raise AssertionError("it was evaluated")

    monkeypatch.setattr("segengine.inference.evaluate.evaluate_and_measure", computes)

    def refused(*arguments: str) -> str:
        done = segengine("evaluate", study.run, *arguments, folder=tmp_path)
        assert done.code == 2
        return done.err.splitlines()[-1]

    assert refused("--save") == "error: --save needs a metric; name one with --metric"
    assert refused("--metric", "hd59") == (
        "error: -s evaluation.metrics=[hd59]: evaluation.metrics.0: there is no metric 'hd59'; did you mean 'hd95'?"
    )
    assert "evaluation.metrics must be unique; duplicates: hd95" in refused("--metric", "hd95", "--metric", "hd95")
    other = tmp_path / "other"
    for path in sorted((study.folder / "data").rglob("*.png")):
        target = other / path.relative_to(study.folder / "data")
        target.parent.mkdir(parents=True, exist_ok=True)
        picture = opened(path)
        (picture.transpose(Image.Transpose.ROTATE_180) if path.name == "te0.png" else picture).save(target)
    assert refused("-s", f"data.source.root={other}", "--metric", "assd", "--save") == (
        f"error: {study.run}: --save needs the run's own data; omit --save, or -s"
    )
