"""What can't be compared is refused with both values; what may explain a difference is named."""

from dataclasses import replace

import numpy as np
import pytest

from segengine.compare.load import candidates
from segengine.compare.summary import compare
from segengine.errors import ComparisonError
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.runs.tables import append_metrics, read_images, write_digests, write_images

POLICY = {"averaged": ["liver", "spleen"], "left_out": ["background"], "undefined": "left out"}


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
        ({"devices": ["NVIDIA H100"]}, "device: CPU (resnet), NVIDIA H100 (vgg)"),
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


def test_batch_sizes_that_auto_found_are_compared_as_the_numbers_they_came_to(make, root):
    auto = {"training.batch_size": "auto"}
    make("vgg", settings=auto, found_batch={"images": 8, "why": "8 images; more don't fit"})
    make("resnet", settings=auto, found_batch={"images": 16, "why": "16 images; more don't fit"})
    comparison = compared(root)
    assert comparison.factor.path == "model.backbone"
    assert [d.text() for d in comparison.confounders] == ["training.batch_size: 16 (resnet), 8 (vgg)"]
    make("resnet", settings={"training.batch_size": 8}, found_batch=None)
    assert compared(root).confounders == (), "8 is 8, whoever chose it"


def test_settings_that_change_no_number_are_not_listed(make, root):
    make("resnet")
    make(
        "vgg",
        settings={
            "training.workers": 4,
            "training.gradient_checkpointing": True,
            "data.cache": "ram",
            "title": "x",
            "seeds": [7],
            "data.source.root": "elsewhere",
        },
    )
    assert compared(root).confounders == ()


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"trained": {"epochs": 12.0, "steps": 36, "images": 288, "minutes": 2.0}}, [
            "trained.epochs: 20 (resnet), 12 (vgg)", "trained.steps: 60 (resnet), 36 (vgg)", "trained.images: 480 (resnet), 288 (vgg)",
        ]),
        ({"training_size": [64, 64]}, ["training_size: [128, 128] (resnet), [64, 64] (vgg)"]),
        ({"devices": ["CPU", "CPU"]}, ["processes: 1 (resnet), 2 (vgg)"]),
        ({"micro_batch": {"images": 4, "from_step": 3}}, ["micro_batch: as set (resnet), 4 (vgg)"]),
        ({"plugins": {"segengine-resnet": "0.2"}}, ["plugins.segengine-resnet: 0.1 (resnet), 0.2 (vgg)"]),
        ({"plugins": {}}, []),
        ({"metric_policy": POLICY | {"checkpoint": "the last"}}, ["checkpoint_rule: highest Dice (resnet), the last (vgg)"]),
    ],
)  # fmt: skip
def test_what_really_happened_is_compared_besides_settings(make, root, facts, said):
    usual = {
        "trained": {"epochs": 20.0, "steps": 60, "images": 480, "minutes": 2.0}, "training_size": [128, 128],
        "plugins": {"segengine-resnet": "0.1"}, "metric_policy": POLICY | {"checkpoint": "highest Dice"},
    }  # fmt: skip
    make("resnet", **usual)
    make("vgg", **usual | facts)
    assert [difference.text() for difference in compared(root).confounders] == said


def test_facts_that_older_runs_lack_differ_only_where_the_others_disagree(make, root):
    make("old")
    make("resnet", training_size=[128, 128])
    assert compared(root).confounders == ()
    make("vgg", training_size=[64, 64])
    (found,) = compared(root).confounders
    assert found.text() == "training_size: not recorded (old), [128, 128] (resnet), [64, 64] (vgg)"


def test_an_early_end_is_known_from_the_scores_of_runs_that_do_not_say_it(make, root):
    for variant, epochs in (("resnet", 20), ("vgg", 12)):
        append_metrics(make(variant) / names.METRICS, {"epoch": epochs, "step": 3 * epochs})
    assert [difference.text() for difference in compared(root).confounders] == [
        "trained.epochs: 20 (resnet), 12 (vgg)", "trained.steps: 60 (resnet), 36 (vgg)",
    ]  # fmt: skip


def test_what_follows_from_a_setting_is_not_said_twice(make, root):
    make("resnet")
    make("vgg", settings={"training.epochs": 40}, budget={"epochs": 40, "steps": 120, "images": 960})
    assert [difference.path for difference in compared(root).confounders] == ["training.epochs"]


def test_in_a_budget_of_minutes_the_faster_one_may_make_more_steps(make, root):
    for variant, steps in (("resnet", 60), ("vgg", 36)):
        trained = {"epochs": steps / 3, "steps": steps, "images": 8 * steps, "minutes": 5.0}
        make(variant, budget={"minutes": 5}, trained=trained)
    assert compared(root).confounders == ()


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"name": "vgg"}, {"name": "resnet", "weights": "none"}, None),
        ({"name": "vgg", "weights": "a.pth"}, {"name": "resnet", "weights": "b.pth"}, None),
        ({"name": "vgg", "weights": "none"}, {"name": "resnet", "weights": "pretrained"}, "none (a), pretrained (b)"),
        ({"name": "vgg", "weights": "a.pth"}, {"name": "resnet", "weights": "none"}, "a file of weights (a), none (b)"),
    ],
)
def test_pretraining_is_a_difference_of_its_own_besides_the_backbone(make, root, first, second, said):
    make("a", settings={"model.backbone": first})
    make("b", settings={"model.backbone": second})
    comparison = compared(root)
    assert comparison.factor.path == "model.backbone"
    assert [d.text() for d in comparison.confounders] == ([f"model.backbone.weights: {said}"] if said else [])


def test_of_equal_backbones_the_files_of_weights_are_compared(make, root):
    make("a", settings={"model.backbone": {"name": "vgg", "weights": "a.pth"}})
    make("b", settings={"model.backbone": {"name": "vgg", "weights": "b.pth"}})
    comparison = compared(root)
    assert comparison.factor.text() == "model.backbone.weights: a.pth (a), b.pth (b)"
    with pytest.raises(ComparisonError, match=r"  model\.backbone\.weights: a\.pth \(a\), b\.pth \(b\)"):
        only(root, "model.backbone")
    only(root, "model.backbone.weights")


def only(root, *paths):
    (found,) = candidates([], root)
    return compare(found, None, paths)


def test_of_equal_backbones_the_content_of_the_initial_weights_is_compared(make, root):
    for name, digest in (("short", "a" * 64), ("long", "b" * 64)):
        epochs = {"training.epochs": 20 if name == "short" else 40, "model.backbone.name": "vgg"}
        make(name, settings=epochs, initial_weights={"file": "w.pt", "sha256": digest})
    assert [d.text() for d in compared(root).confounders] == [
        f"initial_weights: sha256 {'b' * 12} (long), sha256 {'a' * 12} (short)"
    ]


def test_other_backbones_begin_with_other_weights_anyway(make, root):
    for name in ("vgg", "resnet"):
        make(name, initial_weights={"file": f"{name}.pt", "sha256": name[0] * 64})
    assert compared(root).confounders == ()


def test_only_vary_covers_what_is_below_its_path_and_nothing_else(make, root):
    make("resnet")
    make("vgg", settings={"model.backbone.depth": 34, "training.epochs": 40})
    with pytest.raises(ComparisonError) as error:
        only(root, "model.backbone")
    assert str(error.value) == (
        "these runs differ in more than model.backbone:\n  training.epochs: 20 (resnet), 40 (vgg)\n"
        "  train them again alike, or allow a difference with another --only-vary"
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


def test_architectures_that_differ_in_kind_are_said_in_one_sentence(make, root):
    make("vgg", strides=[1, 2, 4, 8, 16, 32])
    make("resnet", strides=[2, 4, 8, 16, 32])
    make("swin", strides=[4, 8, 16, 32])
    said = (
        "the architectures differ in kind: the finest feature map that the decoder gets is at stride 1 (the image's full "
        "size) in vgg and in resnet at stride 2, swin at stride 4, which favours the former at thin structures and borders"
    )
    assert said in compared(root).notes


@pytest.mark.parametrize("strides", [[], [2, 4, 8, 16, 32]])
def test_equal_or_unknown_strides_are_not_spoken_of(make, root, strides):
    make("vgg", strides=strides)
    make("resnet", strides=[2, 4, 8, 16, 32])
    assert compared(root).notes == ()


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


def test_variants_stand_in_the_order_of_the_file_of_the_latest_run(make, root):
    for variant in ("a", "b", "c"):
        make(variant)
    assert [v.name for v in compared(root).variants] == ["a", "b", "c"]
    for variant, started, order in (
        ("a", "2026-01-01T10:00:00+00:00", "acb"),
        ("b", "2026-01-02T10:00:00+00:00", "ba"),
    ):
        folder = root / "abdomen" / f"{variant}-seed0"
        (folder / names.EXPERIMENT).write_text("variants:\n" + "".join(f"  {name}: {{}}\n" for name in order))
        RunFolder(folder).update(started=started)
    assert [v.name for v in compared(root).variants] == ["b", "a", "c"]
    (root / "abdomen/b-seed0" / names.EXPERIMENT).write_text("variants: [")
    assert [v.name for v in compared(root).variants] == ["a", "b", "c"]
