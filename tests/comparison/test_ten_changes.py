"""Ten changes of one thing each, in runs that were really trained: each is caught and named with both values.

`base` and `other` differ in their backbones alone; ten more variants have other's backbone and one more change.
"""

import json
import re
import shutil
from dataclasses import dataclass

import pytest
import timm
import torch
from PIL import Image

from tests.training.small import Done, segengine, write_problem

SPEC = """\
data:
  source: {name: folders, root: data}
  classes: [background, disc, square]
  split: {train: 0.5, validation: 0.25, test: 0.25, seed: 0}
augmentations:
  - {name: multi-scale, base_size: 48, scale: [0.8, 1.2], crop_size: 32}
model: {backbone: {name: timm, model: test_resnet}, decoder: {name: unet, channels: [8, 8, 8, 8, 8]}}
training: {epochs: 1, batch_size: 2}
variants:
  base: {}
  other: {model: {backbone: {model: test_efficientnet}}}
"""
OTHER = "model: {backbone: {model: test_efficientnet}}"


@dataclass(frozen=True)
class Change:
    """What a variant changes, whether a comparison with it is refused, and how it is named."""

    settings: str
    refused: bool
    words: str


CHANGES = {
    "split": Change(
        "data: {split: {seed: 3}}",
        True,
        r"test split: 2 images in blobs/base-seed0; 2 images in blobs/split-seed0 \(only in one of them: .*\n"
        r"(.*\n)*.*data\.split\.seed: 0 \(base\), 3 \(split\)",
    ),
    "mapping": Change(
        "data: {mask_mapper: {name: gray-index, values: [0, 252, 63]}}",
        True,
        r"classes: 0: background, 63: disc, 252: square in blobs/base-seed0; "
        r"0: background, 252: disc, 63: square in blobs/mapping-seed0\n"
        r"(.*\n)*.*data\.mask_mapper\.values: auto \(base\), \[0, 252, 63\] \(mapping\)",
    ),
    "ignore": Change(
        "data: {classes: [background, disc], mask_mapper: {name: gray-index, values: [0, 63], ignore: [252]}}",
        True,
        r"ignored mask values: none in blobs/base-seed0; 252 in blobs/ignore-seed0\n"
        r"(.*\n)*.*data\.mask_mapper\.ignore: \[\] \(base\), \[252\] \(ignore\)",
    ),
    "mask": Change(
        "data: {source: {root: changed}}",
        True,
        r"data fingerprint: \w{12} in blobs/base-seed0; \w{12} in blobs/mask-seed0 \(another mask of images/tr3\)\n"
        r"(.*\n)*.*data\.source\.root: .*data \(base\), .*changed \(mask\)",
    ),
    "metrics": Change(
        "evaluation: {leave_out: [square]}",
        True,
        r"metric policy, averaged: disc, square in blobs/base-seed0; background, disc in blobs/metrics-seed0\n"
        r"(.*\n)*.*evaluation\.leave_out: auto \(base\), \[square\] \(metrics\)",
    ),
    "crop": Change(
        "augmentations: [{name: multi-scale, base_size: 48, scale: [0.8, 1.2], crop_size: 40}]",
        False,
        r"augmentations\.0\.crop_size: 32 \(base\), 40 \(crop\)",
    ),
    "epochs": Change("training: {epochs: 2}", False, r"training\.epochs: 1 \(base\), 2 \(epochs\)"),
    "loss": Change("loss: dice", False, r"loss: cross-entropy( \{.*\})? \(base\), dice( \{.*\})? \(loss\)"),
    "pretraining": Change(
        "model: {backbone: {model: test_efficientnet, weights: start.pth}}",
        False,
        r"model\.backbone\.weights: none \(base\), a file of weights \(pretraining\)",
    ),
    "augmentation": Change(
        "augmentations: [{name: multi-scale, base_size: 48, scale: [0.8, 1.2], crop_size: 32}, {name: flip, horizontal: 0.5}]",
        False,
        r"augmentations: \[multi-scale \{.*\}\] \(base\), \[multi-scale \{.*\}, flip \{.*\}\] \(augmentation\)",
    ),
}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory):
    """The folder of the twelve runs' experiment."""
    folder = tmp_path_factory.mktemp("ten")
    variants = "".join(
        f"  {name}:\n    {change.settings}\n" + ("" if "model:" in change.settings else f"    {OTHER}\n")
        for name, change in CHANGES.items()
    )
    write_problem(folder, SPEC + variants)
    for kind in ("images", "masks"):
        (folder / "flat" / kind).mkdir(parents=True)
        for path in (folder / "data").glob(f"*/{kind}/*.png"):
            path.rename(folder / "flat" / kind / path.name)
    shutil.rmtree(folder / "data")
    (folder / "flat").rename(folder / "data")
    shutil.copytree(folder / "data", folder / "changed")
    mask = folder / "changed/masks/tr3.png"
    with Image.open(mask) as picture:
        turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)  # the same numbers of pixels
    turned.save(mask)
    torch.manual_seed(7)
    torch.save(timm.create_model("test_efficientnet").state_dict(), folder / "start.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segengine.training.finish._report", lambda *arguments: None)
        done = segengine("run", "blobs.yaml", "--json", folder=folder)
    assert done.code == 0, done.err
    return folder / "runs/blobs"


def compared(runs, variant: str, *options: str) -> Done:
    return segengine("compare", runs / "base-seed0", runs / f"{variant}-seed0", *options, folder=runs)


@pytest.mark.parametrize("name", [name for name, change in CHANGES.items() if change.refused])
def test_other_data_labels_or_rules_are_refused_with_path_and_both_values(runs, name: str) -> None:
    done = compared(runs, name)
    assert (done.code, done.out) == (2, "")
    assert "these runs can't be compared:" in done.err
    assert re.search(CHANGES[name].words, done.err.replace("error: ", "")), done.err


@pytest.mark.parametrize("name", [name for name, change in CHANGES.items() if not change.refused])
def test_every_other_change_is_a_confounder_with_path_and_both_values(runs, name: str) -> None:
    done = compared(runs, name)
    assert (done.code, done.err) == (0, "")
    assert "compared: model.backbone.model: test_resnet (base), test_efficientnet" in done.out
    assert "other differences between the runs that could explain the result:" in done.out
    (comparison,) = json.loads(compared(runs, name, "--json").out)["comparisons"]
    (confounder,) = comparison["confounders"]
    assert confounder["path"] in CHANGES[name].words.replace("\\", "")
    assert re.search(rf"^  {CHANGES[name].words}$", done.out, re.MULTILINE), done.out


@pytest.mark.parametrize("name", CHANGES)
def test_where_only_the_backbone_may_vary_each_change_is_refused(runs, name: str) -> None:
    done = compared(runs, name, "--only-vary", "model.backbone")
    assert (done.code, done.out) == (2, "")
    change = CHANGES[name]
    assert ("these runs can't be compared:" if change.refused else "differ in more than model.backbone:") in done.err
    assert re.search(change.words, done.err.replace("error: ", "")), done.err


def test_the_backbone_alone_may_vary(runs) -> None:
    done = compared(runs, "other", "--only-vary", "model.backbone")
    assert (done.code, done.err) == (0, "")
    assert "other differences between the runs that could explain the result:" not in done.out


@pytest.mark.parametrize("name", [name for name, change in CHANGES.items() if not change.refused])
def test_a_change_that_is_named_as_well_is_allowed(runs, name: str) -> None:
    (comparison,) = json.loads(compared(runs, name, "--json").out)["comparisons"]
    path = comparison["confounders"][0]["path"]
    assert compared(runs, name, "--only-vary", "model.backbone", "--only-vary", path).code == 0
