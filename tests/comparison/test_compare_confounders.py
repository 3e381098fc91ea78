"""The compared setting is found; everything else that differs is named with both values."""

import pytest

from segengine.errors import ComparisonError
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.runs.tables import append_metrics
from tests.comparison.guarding import POLICY, compared, only


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
