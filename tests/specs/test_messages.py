from __future__ import annotations

from pathlib import Path

import pytest

from segengine.errors import SpecError
from segengine.specs.load import load_experiment

GOOD = """\
title: A test
data:
  source: {name: folders, root: data}
  classes: [background, thing]
augmentations:
  - {name: multi-scale, base_size: 64, crop_size: 32}
  - flip
model:
  backbone: {name: vgg, depth: 11}
  decoder: unet
loss: {name: weighted-sum, terms: [{loss: cross-entropy}, {loss: dice, weight: 0.5}]}
training: {epochs: 2, batch_size: 4, optimizer: {name: adamw, learning_rate: 3e-4}}
seeds: [0, 1]
variants:
  small: {}
  other: {model: {backbone: {name: timm, model: resnet18}}, training: {epochs: 3}}
"""


def load(tmp_path: Path, text: str, *overrides: str):  # type: ignore[no-untyped-def]
    path = tmp_path / "test.yaml"
    path.write_text(text)
    return load_experiment(path, overrides)


def problems(tmp_path: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text, *overrides)
    return str(caught.value).replace(str(tmp_path / "test.yaml"), "test.yaml").splitlines()


def test_a_good_file_loads_with_all_its_variants(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD)
    assert (loaded.name, loaded.seeds, list(loaded.variants)) == ("test", [0, 1], ["small", "other"])
    assert loaded.variants["small"].model.backbone.depth == 11  # type: ignore[attr-defined]
    assert loaded.variants["other"].model.backbone.model == "resnet18"  # type: ignore[attr-defined]
    assert [v.training.epochs for v in loaded.variants.values()] == [2, 3]
    assert loaded.variants["small"].data.source.root == tmp_path / "data"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs: 2", "epoks: 2", "test.yaml:12:12: training.epoks: unknown setting; did you mean 'epochs'?"),
        ("epochs: 2", "epochs: two", "test.yaml:12:20: training.epochs: must be a whole number, not 'two'"),
        ("epochs: 2", "epochs: 0", "test.yaml:12:20: training.epochs: must be greater than or equal to 1, not 0"),
        ("decoder: unet", "decoder: unett", "test.yaml:10:12: model.decoder: there is no decoder 'unett'; did you mean 'unet'?"),
        ("name: vgg, depth", "name: vgg, dept", "test.yaml:9:25: model.backbone.dept: unknown setting; did you mean 'depth'?"),
        ("depth: 11", "depth: 12", "test.yaml:9:32: model.backbone.depth: '12' is not one of 11, 13, 16, 19"),
        ("name: vgg", "nme: vgg", "test.yaml:9:13: model.backbone: this backbone has no `name`; did you mean 'name' instead of 'nme'?"),
        ("- flip", "- flop", "test.yaml:7:5: augmentations.1: there is no augmentation 'flop'; did you mean 'flip'?"),
        ("loss: dice", "loss: dcie", "test.yaml:11:66: loss.terms.1.loss: there is no loss 'dcie'; did you mean 'dice'?"),
        ("weight: 0.5", "wieght: 0.5", "test.yaml:11:72: loss.terms.1.wieght: unknown setting; did you mean 'weight'?"),
        ("model: resnet18", "modell: resnet18", "test.yaml:16:42: model.backbone.modell: unknown setting; did you mean 'model'?"),
        ("training: {epochs: 3}", "trainin: {epochs: 3}", "test.yaml:16:61: trainin: unknown setting; did you mean 'training'?"),
        ("seeds: [0, 1]", "seeds: [0, 0]", "test.yaml:1:1: the experiment: seeds must be unique; duplicates: 0"),
        ("[background, thing]", "[thing, thing]", "test.yaml:3:3: data: class names must be unique; duplicates: thing"),
        ("  source: {name: folders, root: data}\n", "", "test.yaml:3:3: data.source: is missing; add it"),
        ("root: data", "rot: data", "test.yaml:3:27: data.source.rot: unknown setting; did you mean 'root'?"),
        ("small: {}", "small: {seeds: [3]}", "test.yaml:15:11: variants.small.seeds: applies to all variants; move it to the top level"),
        ("small: {}", "sm/all: {}",
         "test.yaml:15:3: variants: 'sm/all' is not a valid folder name; use up to 100 letters, digits, . _ + -"),
    ],
)  # fmt: skip
def test_each_mistake_gets_one_line_with_its_place_and_a_remedy(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    assert problems(tmp_path, GOOD.replace(old, new, 1)) == [message]


def test_all_mistakes_are_reported_at_once_in_order(tmp_path: Path) -> None:
    text = (
        GOOD.replace("epochs: 2", "epochs: two").replace("decoder: unet", "decoder: unett").replace("title:", "titel:")
    )
    assert problems(tmp_path, text) == [
        "test.yaml:1:1: titel: unknown setting; did you mean 'title'?",
        "test.yaml:10:12: model.decoder: there is no decoder 'unett'; did you mean 'unet'?",
        "test.yaml:12:20: training.epochs: must be a whole number, not 'two'",
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "training.epochs",
            "-s training.epochs: write it as -s path.to.setting=value, for example -s training.epochs=3",
        ),
        ("training.epoch=3", "-s training.epoch=3: training.epoch: unknown setting; did you mean 'epochs'?"),
        ("training.epochs=x", "-s training.epochs=x: training.epochs: must be a whole number, not 'x'"),
        (
            "augmentations.5.base_size=3",
            "-s augmentations.5.base_size=3: augmentations is a list of 2; use an index from 0 to 1",
        ),
        ("model.decoder=fnp", "-s model.decoder=fnp: model.decoder: there is no decoder 'fnp'; did you mean 'fpn'?"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, override: str, message: str) -> None:
    assert problems(tmp_path, GOOD.replace(", training: {epochs: 3}", ""), override) == [message]


def test_overrides_reach_into_lists_blocks_and_short_forms(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, GOOD, "augmentations.0.crop_size=48", "model.decoder.channels=[64, 32, 16, 8, 8]",
        "training.optimizer={name: sgd, learning_rate: 0.1}", "seeds=[7]",
    )  # fmt: skip
    small = loaded.variants["small"]
    assert small.augmentations[0].crop_size in (48, (48, 48))  # type: ignore[attr-defined]
    assert small.model.decoder.name == "unet"
    assert small.model.decoder.channels == (64, 32, 16, 8, 8)  # type: ignore[attr-defined]
    assert small.training.optimizer.model_dump()["learning_rate"] == 0.1
    assert loaded.seeds == [7]


def test_a_path_in_an_override_is_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "images").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    loaded = load(tmp_path, GOOD, "data.source.root=images")
    assert loaded.variants["small"].data.source.root == tmp_path / "here" / "images"  # type: ignore[attr-defined]


def test_another_component_by_override_leaves_the_old_ones_parameters_behind(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, GOOD.replace("variants:\n  small: {}\n", "variants:\n  small: {}\n"), "model.backbone.name=vgg"
    )
    assert loaded.variants["small"].model.backbone.depth == 16  # type: ignore[attr-defined]


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "abdomen.yaml").write_text(GOOD)
    with pytest.raises(SpecError, match=r"abdomn\.yaml: no such file; did you mean 'abdomen\.yaml'\?"):
        load_experiment(tmp_path / "abdomn.yaml")
