"""`--only-vary` refuses whatever differs beside what is named."""

import pytest

from segengine.errors import ComparisonError
from tests.comparison.guarding import only


def test_only_vary_covers_what_is_below_its_path_and_nothing_else(make, root):
    make("resnet")
    make("vgg", settings={"model.backbone.depth": 34, "training.epochs": 40})
    with pytest.raises(ComparisonError) as error:
        only(root, "model.backbone")
    assert str(error.value) == (
        "these runs differ in more than model.backbone:\n  training.epochs: 20 (resnet), 40 (vgg)\n"
        "  retrain with the same settings, or allow a difference with another --only-vary"
    )
    assert only(root, "model.backbone", "training").factor.path == "model.backbone"
    assert only(root, "model", "training.epochs").factor.path == "model.backbone"
    with pytest.raises(ComparisonError, match=r"differ in more than model\.backbone\.depth"):
        only(root, "model.backbone.depth", "training")  # another component is more than another depth


def test_only_vary_refuses_other_versions_and_an_early_end_too(make, root):
    make("resnet")
    make("vgg", versions={"torch": "2.8", "segengine": "0.1.0"})
    with pytest.raises(ComparisonError, match=r"  versions\.torch: 2\.9 \(resnet\), 2\.8 \(vgg\)"):
        only(root, "model.backbone")
    only(root, "model.backbone", "versions.torch")
    only(root, "model.backbone", "versions", "trained")


def test_only_vary_never_allows_a_variant_that_is_two_things(make, root):
    make("vgg", 0)
    make("vgg", 1, settings={"model.backbone.depth": 16})
    with pytest.raises(ComparisonError, match=r"within a variant: model\.backbone\.depth: 11 \(vgg\), 16 \(vgg\)"):
        only(root, "model.backbone")


def test_only_vary_of_a_setting_that_no_run_has_says_what_is_near(make, root):
    make("vgg")
    with pytest.raises(ComparisonError) as error:
        only(root, "model.bakbone")
    assert (
        str(error.value) == "--only-vary model.bakbone: these runs have no such setting; did you mean 'model.backbone'?"
    )
