"""Every component of every kind, built in or installed, keeps its kind's promises (segengine.testing.check)."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from segengine.components.base import KINDS
from segengine.components.lookup import checked_class, registry
from segengine.registry import Provider
from segengine.testing import check, sample_folder
from segengine.testing.conformance import missing_parameters
from tests.data.annotations.sets import coco
from tests.data.annotations.test_rasterised import WHEEL_FIRST, cvat_set, label_studio_set, labelme_set, yolo_set

PARAMETERS = {
    ("backbones", "timm"): {"model": "convnext_atto"},
    ("backbones", "vgg"): {"depth": 11},
    ("backbones", "resnet"): {"depth": 18},
    ("losses", "weighted-sum"): {"terms": [{"loss": "dice"}, {"loss": "cross-entropy", "weight": 0.5}]},
    ("metrics", "nsd"): {"tolerance": 1.0},
    ("sources", "folders"): {"root": "SAMPLE"},
    ("sources", "table"): {"root": "SAMPLE", "file": "TABLE"},
    ("sources", "coco"): {"root": "COCO"},
    ("sources", "labelme"): {"root": "LABELME"},
    ("sources", "yolo"): {"root": "YOLO"},
    ("sources", "cvat"): {"root": "CVAT"},
    ("sources", "label-studio"): {"root": "LABEL STUDIO"},
    ("trackers", "mlflow"): {"uri": "DATABASE"},
}
"""For components with required fields, and the smallest of those with a depth; SAMPLE is a folder of sample files, DATABASE a new one."""

MORE = [
    ("backbones", "vgg", {"depth": 11, "batch_norm": False}),
    ("decoders", "deeplabv3-plus", {"output_stride": 8}),
    ("decoders", "pspnet", {"output_stride": 32}),
    ("losses", "cross-entropy", {"class_weights": "median-frequency", "label_smoothing": 0.1}),
    ("losses", "cross-entropy", {"class_weights": [1.0, 2.0, 0.5]}),
    ("losses", "focal", {"gamma": 0.5, "class_weights": "median-frequency"}),
    ("losses", "dice", {"over": "image", "absent": "skip"}),
    ("losses", "lovasz", {"over": "image"}),
    ("losses", "ohem", {"threshold": 0.0, "least": 0.3, "class_weights": "median-frequency"}),
    ("augmentations", "flip", {"horizontal": 0.5, "vertical": 0.5}),
    ("augmentations", "crop", {"size": [16, 24], "position": "centre"}),
    ("augmentations", "crop", {"size": 24, "rare_share": 0.7}),
    ("augmentations", "multi-scale", {"base_size": 40, "crop_size": [16, 24], "rare_share": 0.7}),
    ("augmentations", "rotate", {"degrees": 180}),
    ("augmentations", "copy-paste", {"classes": [0, 2], "probability": 1.0}),
    ("augmentations", "albumentations", {"transform": "Affine", "parameters": {"rotate": 30, "p": 1.0}}),
    ("metrics", "hausdorff", {"percentile": 90}),
    ("metrics", "boundary-iou", {"ratio": 0.1}),
    ("metrics", "ece", {"bins": 4}),
    ("postprocessors", "largest-component", {"only": ["square"], "keep": 2}),
    ("postprocessors", "remove-small", {"mm2": 30.0}),
    ("postprocessors", "class-rule", {"only": ["disc"], "where": "left", "of": "square"}),
    ("optimizers", "sgd", {"momentum": 0.0}),
    ("schedules", "step", {"warmup": 0.1, "milestones": [0.5]}),
]
"""Other settings that take another way through a component."""

PROVIDERS = [provider for kind in KINDS for provider in registry(kind).providers]


def _given(kind: str, name: str, folder: Path) -> dict[str, object]:
    parameters = PARAMETERS.get((kind, name), {})
    made = {
        "SAMPLE": lambda: sample_folder(folder),
        "TABLE": lambda: _table(Path(sample_folder(folder))),
        "COCO": lambda: str(coco(folder, WHEEL_FIRST)),
        "LABELME": lambda: str(labelme_set(folder)),
        "YOLO": lambda: str(yolo_set(folder)),
        "CVAT": lambda: str(cvat_set(folder)),
        "LABEL STUDIO": lambda: str(label_studio_set(folder)),
        "DATABASE": lambda: f"sqlite:///{folder / 'mlflow.db'}",
    }
    return {key: made[value]() if str(value) in made else value for key, value in parameters.items()}


def _table(root: Path) -> str:
    """A CSV of the sample's pairs, images and masks by equal names; its path below `root`."""
    files = sorted(root.rglob("*.png"))
    masks = {f.name: f for f in files if "mask" in f.parent.name}
    rows = [f"{f.relative_to(root)},{masks[f.name].relative_to(root)}" for f in files if f not in masks.values()]
    (root / "pairs.csv").write_text("\n".join(["image,mask", *rows]) + "\n")
    return "pairs.csv"


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: f"{p.kind}-{p.qualified}")
@pytest.mark.filterwarnings("ignore:::mlflow", "ignore:::alembic", "ignore:::tensorboard")
def test_every_installed_component_conforms(provider: Provider, tmp_path: Path) -> None:
    if provider.kind == "trackers" and provider.built_in and find_spec(provider.name) is None:
        pytest.skip(f"the extra segengine[{provider.name}] isn't installed")
    cls = checked_class(provider)
    given = _given(provider.kind, provider.name, tmp_path)
    assert not missing_parameters(cls, given), f"add ({provider.kind!r}, {provider.name!r}) to PARAMETERS in this file"
    check(cls, given)


@pytest.mark.parametrize(("kind", "name", "parameters"), MORE, ids=lambda v: v if isinstance(v, str) else "")
def test_other_settings_conform_too(kind: str, name: str, parameters: dict[str, object]) -> None:
    check(checked_class(registry(kind).find(name)), parameters)


def test_the_plugin_that_comes_along_is_among_them() -> None:
    assert "segengine-resnet/resnet" in {provider.qualified for provider in PROVIDERS}
