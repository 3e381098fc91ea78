"""What can't be compared is refused with both values; changed files are named."""

from dataclasses import replace

import numpy as np
import pytest

from segengine.comparison.load import candidates
from segengine.comparison.summary import compare
from segengine.errors import ComparisonError
from segengine.runs import names
from segengine.runs.tables import read_images, write_digests, write_images
from tests.comparison.guarding import refused


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


def test_a_moved_image_and_a_changed_file_are_named(make, root):
    first, second = make("a"), make("b", data={"fingerprint": "bbbb"})
    write_digests(first / names.FILES, [("image", "mask")] * 6)
    write_digests(second / names.FILES, [("image", "mask"), ("image", "other"), *[("image", "mask")] * 4])
    assert "data fingerprint: aaaa in abdomen/a-seed0; bbbb in abdomen/b-seed0 (another mask of p0/s1)" in refused(root)
    rows = list(read_images(second / names.IMAGES))
    write_images(
        second / names.IMAGES, [replace(row, split="validation" if row.index == 0 else row.split) for row in rows]
    )
    assert "(p0/s0 is in train of abdomen/a-seed0, in validation of abdomen/b-seed0)" in refused(root)
