"""What can't be compared is refused with both values; what may explain a difference is named."""

import numpy as np
import pytest

from segengine.compare.load import candidates
from segengine.compare.summary import compare
from segengine.errors import ComparisonError


def compared(root, split=None):
    (found,) = candidates([], root)
    return compare(found, split)


def refused(root, split=None):
    with pytest.raises(ComparisonError) as error:
        compared(root, split)
    return str(error.value)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


def test_other_data_is_refused_with_both_fingerprints_and_runs(make, root):
    make("vgg")
    make("resnet", data={"fingerprint": "bbbb"})
    assert "data fingerprint: bbbb in abdomen/resnet-seed0; aaaa in abdomen/vgg-seed0" in refused(root)


def test_a_changed_mask_is_named(make, root):
    truth = np.random.default_rng(1).integers(50, 900, (6, 3))
    make("resnet", truth=truth)
    other = truth.copy()
    other[4, 1] += 1
    make("vgg", truth=other, data={"fingerprint": "bbbb"})
    message = refused(root)
    assert "data fingerprint: aaaa in abdomen/resnet-seed0; bbbb in abdomen/vgg-seed0" in message
    assert "(the truth differs between abdomen/resnet-seed0 and abdomen/vgg-seed0 in p2/s4)" in message


def test_another_truth_is_refused_even_if_the_fingerprints_agree(make, root):
    truth = np.random.default_rng(1).integers(50, 900, (6, 3))
    make("resnet", truth=truth)
    make("vgg", truth=truth + 1)
    assert "the truth differs between abdomen/resnet-seed0 and abdomen/vgg-seed0 in p1/s3, p2/s4, p2/s5" in refused(
        root
    )


def test_another_split_of_the_same_images_is_refused_with_an_example(make, root):
    make("resnet", test=(3, 4, 5))
    make("vgg", test=(2, 4, 5))
    message = refused(root)
    assert (
        "test split: 3 images in abdomen/resnet-seed0; 3 images in abdomen/vgg-seed0 (only in one of them: p1/s2, p1/s3)"
        in message
    )


def test_other_images_are_refused(make, root):
    make("resnet")
    make("vgg", images=7)
    assert (
        "images: 6 images in abdomen/resnet-seed0; 7 images in abdomen/vgg-seed0 (only in one of them: p3/s6)"
        in refused(root)
    )


def test_another_mapping_is_refused_with_both_mappings(make, root):
    make("resnet")
    make("vgg", classes=("background", "spleen", "liver"))
    message = refused(root)
    assert (
        "classes: 0: background, 63: liver, 126: spleen in abdomen/resnet-seed0; 0: background, 63: spleen, 126: liver in abdomen/vgg-seed0"
        in message
    )


def test_another_number_of_classes_is_refused(make, root):
    make("resnet")
    make("vgg", classes=("background", "liver"))
    assert (
        "classes: 0: background, 63: liver, 126: spleen in abdomen/resnet-seed0; 0: background, 63: liver in"
        in refused(root)
    )


def test_other_ignored_values_are_refused(make, root):
    make("resnet")
    make("vgg", ignored=[255])
    assert "ignored mask values: none in abdomen/resnet-seed0; 255 in abdomen/vgg-seed0" in refused(root)


def test_another_metric_policy_is_refused(make, root):
    make("resnet")
    make("vgg", metric_policy={"averaged": ["background", "liver", "spleen"], "left_out": [], "undefined": "left out"})
    message = refused(root)
    assert (
        "metric policy, averaged: liver, spleen in abdomen/resnet-seed0; background, liver, spleen in abdomen/vgg-seed0"
        in message
    )
    assert "metric policy, left_out: background in abdomen/resnet-seed0; none in abdomen/vgg-seed0" in message
    assert "metric policy, undefined" not in message


def test_runs_evaluated_on_different_splits_are_refused(make, root):
    make("resnet", split="test")
    make("vgg", split="validation")
    assert "evaluation split: test scores in abdomen/resnet-seed0; none in abdomen/vgg-seed0" in refused(root)


def test_a_split_that_no_run_was_evaluated_on_is_refused_with_the_one_that_is_there(make, root):
    make("resnet", split="validation")
    assert refused(root, "test") == "none of the runs has test scores; they have validation scores: --split validation"


def test_all_that_differs_is_said_at_once_and_many_runs_are_counted(make, root):
    for seed in range(5):
        make("resnet", seed)
    make("vgg", ignored=[255], data={"fingerprint": "bbbb"})
    message = refused(root)
    assert "ignored mask values" in message
    assert "abdomen/resnet-seed0, abdomen/resnet-seed1, abdomen/resnet-seed2 and 2 more" in message
    assert "data fingerprint" in message


def test_the_same_variant_and_seed_twice_is_refused(make, root, tmp_path):
    first = make("vgg")
    second = make("vgg", experiment="copy")
    second.update(experiment="abdomen")
    (found,) = candidates([first.path, second.path], root)
    with pytest.raises(ComparisonError, match="are both vgg with seed 0; name one of them"):
        compare(found)


def test_the_compared_factor_is_found_and_alone(make, root):
    make("vgg")
    make("resnet", settings={"model.backbone.depth": 34})
    comparison = compared(root)
    assert comparison.factor is not None
    assert comparison.factor.text() == "model.backbone: resnet {depth: 34} (resnet), vgg {depth: 11} (vgg)"
    assert comparison.confounders == ()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("training.epochs", 40, "training.epochs: 20 (resnet), 40 (vgg)"),
        ("loss.name", "dice", "loss: cross-entropy (resnet), dice (vgg)"),
        ("augmentations.1.size", 256, "augmentations.1.size: 128 (resnet), 256 (vgg)"),
        ("augmentations", [], "augmentations: [flip {horizontal: 0.5}, crop {size: 128}] (resnet), [] (vgg)"),
        ("training.clip_norm", 1.0, "training.clip_norm: (absent) (resnet), 1.0 (vgg)"),
        ("model.decoder.name", "fpn", "model.decoder: unet (resnet), fpn (vgg)"),
    ],
)
def test_every_other_difference_is_a_confounder_with_both_values(make, root, path, value, said):
    make("resnet")
    make("vgg", settings={path: value})
    comparison = compared(root)
    assert comparison.factor is not None
    assert comparison.factor.path == "model.backbone"
    assert [difference.text() for difference in comparison.confounders] == [said]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"budget": {"epochs": 12, "steps": 60, "images": 480}}, "budget.epochs: 20 (resnet), 12 (vgg)"),
        ({"versions": {"torch": "2.8", "segengine": "0.1.0"}}, "versions.torch: 2.9 (resnet), 2.8 (vgg)"),
        ({"devices": ["NVIDIA H100"]}, "devices.0: CPU (resnet), NVIDIA H100 (vgg)"),
        ({"precision": "bf16"}, "precision: fp32 (resnet), bf16 (vgg)"),
    ],
)
def test_other_circumstances_are_confounders_too(make, root, facts, said):
    make("resnet")
    make("vgg", **facts)
    assert [difference.text() for difference in compared(root).confounders] == [said]


def test_a_difference_between_the_seeds_of_one_variant_is_no_factor(make, root):
    make("vgg", 0)
    make("vgg", 1, settings={"training.batch_size": 4})
    comparison = compared(root)
    assert comparison.factor is None
    assert [(d.text(), d.within) for d in comparison.confounders] == [("training.batch_size: 8 (vgg), 4 (vgg)", True)]


def test_settings_that_change_no_number_are_not_listed(make, root):
    make("resnet")
    make(
        "vgg",
        settings={
            "training.workers": 4,
            "data.cache": "ram",
            "title": "x",
            "seeds": [7],
            "data.source.root": "elsewhere",
        },
    )
    assert compared(root).confounders == ()
