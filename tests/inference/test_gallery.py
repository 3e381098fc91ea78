"""The gallery of a comparison: predicted from the saved runs, or said why not."""

import shutil

import numpy as np
import pytest

from segengine.comparison.gallery import most_disagreed
from segengine.comparison.summary import compare_folders
from segengine.inference.gallery import pictures
from tests.metrics.reference import confusion
from tests.training.small import Study, sample, segengine


@pytest.fixture
def copied(study: Study, tmp_path):
    """The finished study's runs, free to be changed."""
    shutil.copytree(study.folder / "runs", tmp_path / "runs")
    return tmp_path / "runs"


def _comparison(root):
    (found,) = compare_folders([], root)
    return found


def test_the_pictures_are_the_predictions_that_were_counted(copied):
    found = _comparison(copied)
    chosen = most_disagreed(found, "dice", 2)
    gallery = pictures(found, chosen, "cpu")
    assert gallery.problems == ()
    assert [picture.about.id for picture in gallery.pictures] == [image.id for image in chosen.images]
    assert len(chosen.images) == 2
    stacked = [model.stacked for model in found.models.models]
    for picture in gallery.pictures:
        image, truth = sample(4000 + int(picture.about.id[-1]))
        assert (picture.image[:, :, 0] == image).all()
        assert (picture.truth == truth).all()
        assert sorted(picture.predictions) == [0, 1]
        for i, classes in picture.predictions.items():
            table = confusion(picture.truth, classes, 3)
            assert (np.diag(table) == stacked[i][picture.about.row, 0]).all()


def test_a_variant_without_weights_is_named_and_the_others_are_shown(copied):
    (copied / "blobs/slow-seed0/checkpoints/weights.safetensors").unlink()
    found = _comparison(copied)
    gallery = pictures(found, most_disagreed(found, "dice", 1), "cpu")
    assert [list(picture.predictions) for picture in gallery.pictures] == [[0]]
    (problem,) = gallery.problems
    assert problem.startswith("blobs/slow-seed0: ")
    assert "has no checkpoints/weights.safetensors" in problem


def test_a_mask_that_changed_is_never_shown_as_the_truth(study, copied, tmp_path):
    shutil.copytree(study.folder / "data", tmp_path / "data")
    for spec in copied.glob("*/*/spec.yaml"):
        spec.write_text(spec.read_text().replace(str(study.folder / "data"), str(tmp_path / "data")))
    found = _comparison(copied)
    chosen = most_disagreed(found, "dice", 1)
    masks = tmp_path / "data/test/masks"
    shutil.copy(
        masks / "te0.png" if chosen.images[0].id.endswith("1") else masks / "te1.png",
        masks / f"te{chosen.images[0].id[-1]}.png",
    )
    gallery = pictures(found, chosen, "cpu")
    assert gallery.pictures == ()
    assert all("the mask changed since the run was evaluated" in problem for problem in gallery.problems)
    shutil.rmtree(tmp_path / "data")
    gone = pictures(found, chosen, "cpu")
    assert gone.pictures == ()
    assert len(gone.problems) == 2


def test_the_command_makes_the_page_whatever_happens_to_the_pictures(study, copied, tmp_path):
    done = segengine(
        "compare",
        "runs",
        "--resamples",
        "100",
        "--html",
        "page.html",
        "--out",
        "out",
        "--pictures",
        "1",
        folder=tmp_path,
    )
    assert done.code == 0, done.err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('<img src="data:image/png;base64,') == 4
    assert 'alt="prediction of plain for test/images/te' in page
    assert (tmp_path / "out/figures/picture-1.png").read_bytes().startswith(b"\x89PNG")
    for weights in copied.glob("*/*/checkpoints/weights.safetensors"):
        weights.unlink()
    done = segengine("compare", "runs", "--resamples", "100", "--html", "page.html", "--pictures", "1", folder=tmp_path)
    assert done.code == 0
    assert done.err.count("picture left out: ") == 2
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Not shown: blobs/plain-seed0: " in page
    assert "<img" not in page
