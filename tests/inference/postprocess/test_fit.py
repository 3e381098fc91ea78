"""Post-processing is chosen on validation images, by proof, and applied everywhere but to the run's own scores."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import segengine
from segengine.errors import RunError, SpecError
from segengine.inference.evaluate import evaluate_run
from segengine.inference.load import load_trained
from segengine.inference.postprocess import fit
from segengine.inference.postprocess.fit import Fitted, fit_postprocessing
from segengine.inference.postprocess.record import step_of, write_record
from segengine.runs.folder import RunFolder
from tests.training.small import Study
from tests.training.small import segengine as command

CLASSES = ("background", "disc", "square")


def quiet(_: object) -> None:
    """A listener that ignores events."""


@pytest.fixture
def run(study: Study, tmp_path: Path) -> Path:
    """A copy of the finished run, beside its data."""
    shutil.copytree(study.run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def smoothed(run: Path) -> Path:
    """The run with a recorded step that changes nearly every prediction."""
    write_record(RunFolder(run), {"steps": [{"name": "smooth", "radius": 5}]})
    return run


def images(count: int, *, islands: int, groups: int | None = None) -> list[Any]:
    """Validation images with true discs, of which the predictions have islands of a wrong class, or lack nothing."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        truth = np.zeros((40, 40), np.uint8)
        truth[5:20, 5:20], truth[22:36, 20:36] = 1, 2
        predicted = truth.copy()
        predicted[rng.random(truth.shape) < 0.04] = 0
        for row, column in rng.integers(0, 38, (islands, 2)):
            predicted[row : row + 2, column : column + 2] = 1
        made.append(fit._Image.of(predicted, truth, str(number % groups) if groups else str(number)))
    return made


def searched(found: list[Any], steps: list[Any], seen: Any = quiet) -> Fitted:
    candidates = [step_of(step) for step in steps]
    build = fit._builder(CLASSES, None)
    return fit._Search(found, CLASSES, (1, 2), build, 2 * len(candidates), seen).run(candidates)


def test_a_step_that_helps_is_kept_with_its_gain_and_interval() -> None:
    found = searched(images(20, islands=6), ["largest-component", {"name": "smooth", "radius": 1}])
    assert [step["name"] for step in found.steps][:1] in (["largest-component"], ["smooth"])
    best = max(found.tried[:2], key=lambda each: each.gain or 0)
    assert best.kept
    assert best.low is not None
    assert best.gain is not None
    assert best.high is not None
    assert 0 < best.low < best.gain < best.high
    assert found.after is not None
    assert found.before is not None
    assert found.after - found.before >= best.gain - 1e-9
    assert found.level == pytest.approx(0.05 / 4)


def test_a_step_that_harms_or_does_nothing_is_not_kept() -> None:
    found = searched(images(20, islands=0), [{"name": "smooth", "radius": 20}, {"name": "remove-small", "pixels": 1}])
    assert found.steps == ()
    assert found.after == found.before
    assert [each.kept for each in found.tried] == [False, False]
    assert found.tried[1].gain == 0


def test_few_images_or_groups_prove_nothing() -> None:
    for found in (searched(images(3, islands=6), ["smooth"]), searched(images(20, islands=6, groups=2), ["smooth"])):
        assert found.steps == ()
        assert found.tried[0].gain is not None
        assert found.tried[0].gain > 0
        assert found.tried[0].reason == "too few units"


def test_the_second_step_has_to_help_on_top_of_the_first() -> None:
    found = searched(images(20, islands=6), ["largest-component", {"name": "largest-component", "only": ["disc"]}])
    second = found.tried[2]
    assert [step["name"] for step in second.after] == ["largest-component"]
    assert not second.kept
    assert len(found.steps) == 1


def test_chance_keeps_a_useless_step_in_at_most_five_per_cent() -> None:
    """Predictions whose errors no step can know: random steps are kept as rarely as stated."""
    kept = 0
    for trial in range(60):
        rng = np.random.default_rng(trial)
        truth = (rng.random((12, 16, 16)) < 0.5).astype(np.uint8)
        predicted = np.where(rng.random(truth.shape) < 0.3, 1 - truth, truth).astype(np.uint8)
        found = [fit._Image.of(p, t, str(n)) for n, (p, t) in enumerate(zip(predicted, truth, strict=True))]

        def build(step: Any, trial: int = trial) -> Any:
            def flipped(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
                chance = np.random.default_rng([trial, int(step.radius), int(classes.sum())]).random(classes.shape)
                return np.where(chance < 0.05, 1 - classes, classes).astype(np.uint8)

            return flipped

        steps = [step_of({"name": "smooth", "radius": radius}) for radius in (1, 2, 3)]
        kept += bool(fit._Search(found, CLASSES[:2], (0, 1), build, 6, quiet).run(steps).steps)
    assert kept <= 4


def test_fit_records_what_was_tried_and_leaves_the_scores_alone(run: Path, study: Study) -> None:
    before = json.loads((run / "run.json").read_text())
    done = command("postprocess", "fit", run, "--json", folder=study.folder)
    assert done.code == 0, done.err
    document = json.loads(done.out)
    recorded = json.loads((run / "postprocess.json").read_text())
    assert recorded == {"format": 1, **{key: value for key, value in document.items() if key != "run"}}
    assert recorded["images"] == 2
    assert recorded["split"] == "validation"
    assert recorded["steps"] == []  # two images prove nothing
    assert {each["step"]["name"] for each in recorded["tried"]} == {
        "largest-component", "fill-holes", "remove-small", "smooth",
    }  # fmt: skip
    after = json.loads((run / "run.json").read_text())
    assert after.pop("postprocess")["steps"] == 0
    assert after == before
    assert load_trained(run, "cpu").predictor.finish is None


def test_recorded_steps_are_applied_and_left_out_on_request(smoothed: Path, study: Study, tmp_path: Path) -> None:
    picture = next((study.folder / "data/test/images").glob("*.png"))
    with_steps = segengine.load(smoothed, device="cpu").predict(picture)
    without = segengine.load(smoothed, device="cpu", postprocess=False).predict(picture)
    expected = step_of({"name": "smooth", "radius": 5}).build(classes=CLASSES)(without.classes)
    assert np.array_equal(with_steps.classes, expected)
    assert not np.array_equal(with_steps.classes, without.classes)
    flipped = segengine.load(smoothed, device="cpu").predict(picture, flips=True)
    raw = segengine.load(smoothed, device="cpu", postprocess=False).predict(picture, flips=True)
    assert np.array_equal(flipped.classes, step_of({"name": "smooth", "radius": 5}).build(classes=CLASSES)(raw.classes))
    for options, classes in (((), with_steps), (("--no-postprocess",), without)):
        out = tmp_path / f"masks{len(options)}"
        assert (
            command("predict", smoothed, picture, "-o", out, "--device", "cpu", *options, folder=study.folder).code == 0
        )
        from PIL import Image

        assert np.array_equal(np.asarray(Image.open(out / picture.name)), classes.mask)


def test_evaluation_says_whether_it_applied_the_steps_and_saves_without(smoothed: Path, study: Study) -> None:
    run = json.loads((smoothed / "run.json").read_text())
    plain = evaluate_run(smoothed, "test", [], "cpu", quiet, postprocess=False)
    finished = evaluate_run(smoothed, "test", [], "cpu", quiet)
    assert plain.scores == run["scores"]["test"]
    assert finished.scores != plain.scores
    assert (plain.postprocessed, finished.postprocessed) == (False, True)
    saved = evaluate_run(smoothed, "test", [], "cpu", quiet, metrics=["hd95"], keep=True)
    assert not saved.postprocessed
    said = command("evaluate", smoothed, "--device", "cpu", folder=study.folder).out
    assert "after post-processing (without: --no-postprocess)" in said


def test_a_changed_or_missing_record_is_refused(smoothed: Path) -> None:
    path = smoothed / "postprocess.json"
    path.write_text(path.read_text().replace("5", "6"))
    with pytest.raises(RunError, match=r"was changed after it was written .* --no-postprocess"):
        load_trained(smoothed, "cpu")
    assert load_trained(smoothed, "cpu", postprocess=False).predictor.finish is None
    path.unlink()
    with pytest.raises(RunError, match="is missing"):
        load_trained(smoothed, "cpu")


def test_files_of_other_steps_are_other_files_to_predict(smoothed: Path) -> None:
    trained = load_trained(smoothed, "cpu")
    without = replace(trained, predictor=replace(trained.predictor, finish=None))
    assert trained.identity() != without.identity()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("largest-componet", "did you mean 'largest-component'"),
        ("{name: smooth, radius: 0}", "radius: Input should be greater than or equal to 1"),
        ("{name: class-rule, only: [disk]}", "there is no class 'disk'; did you mean 'disc'?"),
        ("{name: remove-small, mm2: 4}", "mm2 needs evaluation.spacing"),
        ("[smooth]", "give a name, or settings such as"),
        ("{name: ", "not valid YAML"),
    ],
)
def test_invalid_steps_are_errors_before_anything_is_predicted(
    step: str, message: str, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Iterator[Any]:
        raise AssertionError("predicted")

    monkeypatch.setattr(fit, "_predicted", fail)
    done = command("postprocess", "fit", study.run, "--step", step, folder=study.folder)
    assert done.code == 2
    assert message in done.err


def test_square_units_are_pixels_by_the_spacing() -> None:
    classes = np.zeros((9, 9), np.uint8)
    classes[2:4, 2:4] = 1
    step = step_of({"name": "remove-small", "mm2": 5})
    assert step.build(classes=CLASSES, spacing=(1.0, 1.0))(classes).sum() == 0
    assert step.build(classes=CLASSES, spacing=(2.0, 1.0))(classes).sum() == 4
    with pytest.raises(SpecError, match="mm2 needs"):
        step.build(classes=CLASSES, spacing=None)


def test_every_default_candidate_builds() -> None:
    for count in (2, 3, 30):
        names = [f"class {number}" for number in range(count)]
        for candidate in fit.default_candidates(names):
            candidate.build(classes=names, spacing=None)
    assert len(fit.default_candidates([str(n) for n in range(30)])) == 7


def test_fitting_needs_the_runs_own_data(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.folder / "data", tmp_path / "data")
    shutil.rmtree(tmp_path / "data/test")
    done = command("postprocess", "fit", study.run, "-s", f"data.source.root={tmp_path / 'data'}", folder=study.folder)
    assert done.code == 2
    assert "steps are chosen on its own validation images" in done.err
    assert fit_postprocessing.__doc__


def test_an_exported_file_holds_the_steps_and_applies_them(smoothed: Path, study: Study, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from segengine_runtime.command import main

    done = command("export", smoothed, "-o", tmp_path / "a.onnx", folder=study.folder)
    assert done.code == 0, done.err
    picture = next((study.folder / "data/test/images").glob("*.png"))
    by_run = segengine.load(smoothed, device="cpu").predict(picture).classes
    assert np.array_equal(segengine.load(tmp_path / "a.onnx").predict(picture).classes, by_run)
    raw = segengine.load(tmp_path / "a.onnx", postprocess=False).predict(picture).classes
    assert not np.array_equal(raw, by_run)
    assert main([str(tmp_path / "a.onnx"), str(picture), "-o", str(tmp_path / "masks")]) == 0
