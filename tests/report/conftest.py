"""A small made-up run to report on: labels, rows, confusion, examples with ignored pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from segengine.figures.examples import Augmented, Example
from segengine.report.run_report import RunReport


@dataclass(frozen=True)
class Label:
    index: int
    name: str
    raw: int | tuple[int, int, int]
    colour: tuple[int, int, int]


def make_labels(number: int, names: tuple[str, ...] = ()) -> list[Label]:
    rng = np.random.default_rng(7)
    colours = [(0, 0, 0), *(tuple(int(v) for v in rng.integers(40, 230, 3)) for _ in range(number - 1))]
    return [
        Label(k, names[k] if k < len(names) else ("background" if k == 0 else f"class {k}"), 3 * k, colours[k])
        for k in range(number)
    ]


def evaluation(labels: list[Label], level: float, absent: tuple[int, ...] = ()) -> dict[str, Any]:
    empty = dict.fromkeys(("precision", "recall", "iou", "dice", "dice_per_image", "iou_per_image"))
    classes: dict[str, Any] = {}
    for label in labels:
        value = dict.fromkeys(empty, max(0.0, level - 0.01 * label.index))
        absence = label.index in absent
        counts = {"pixels": 0, "images": 0} if absence else {"pixels": 12_345, "images": 30}
        classes[label.name] = {**(empty if absence else value), **counts}
    over = [label.name for label in labels[1:] if label.index not in absent]
    mean = {key: float(np.mean([classes[name][key] for name in over])) for key in empty}
    return {"loss": 1 - level, "images": 30, "classes": classes, "mean": {**mean, "over": over}}


def make_rows(labels: list[Label], epochs: int, absent: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "train_loss": 1 / epoch,
            "learning_rate": 3e-4 / epoch,
            "seconds": 1.0,
            "images_per_second": 20.0,
            "validation": evaluation(labels, 0.9 - 0.5 / epoch, absent),
        }
        for epoch in range(1, epochs + 1)
    ]


def scene(classes: int, channels: int = 3, size: tuple[int, int] = (40, 56)) -> tuple[np.ndarray, np.ndarray]:
    """A gray ramp whose truth holds some classes in blocks and an ignored band on the left."""
    image = np.linspace(0, 255, size[0] * size[1] * channels).reshape(*size, channels).astype(np.uint8)
    truth = (np.add.outer(np.arange(size[0]) // 10, np.arange(size[1]) // 14) % classes).astype(np.uint8)
    truth[:, :12] = 255
    return image, truth


def make_report(number: int, epochs: int, **changes: Any) -> RunReport:
    labels = changes.pop("labels", make_labels(number))
    absent = changes.pop("absent", ())
    image, truth = scene(number)
    prediction = np.where(truth == 255, 0, truth).astype(np.uint8)
    confusion = np.full((number, number), 5, np.int64) + 1000 * np.eye(number, dtype=np.int64)
    confusion[list(absent)] = 0
    settings: dict[str, Any] = {
        "title": "Abdominal organs",
        "variant": "vgg16",
        "seed": 0,
        "status": "finished",
        "labels": labels,
        "rows": make_rows(labels, epochs, absent),
        "scores": {"test": evaluation(labels, 0.8, absent)},
        "confusion": confusion,
        "examples": [Example("p1/s1", 0.91, image, prediction, truth, "best")],
        "augmentations": [Augmented("p1/s2", image, np.where(truth == 255, 0, truth).astype(np.uint8), image, truth)],
        "facts": {"device": "cpu", "versions": {"torch": "2.14"}},
        "spec": "title: Abdominal organs\n",
        "model": "VGG 16 and U-Net",
        "training_images": 120,
    }
    return RunReport(**{**settings, **changes})


@pytest.fixture(scope="session")
def labels_of() -> Callable[..., list[Label]]:
    return make_labels


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., list[dict[str, Any]]]:
    return make_rows


@pytest.fixture(scope="session")
def scene_of() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return scene


@pytest.fixture(scope="session")
def report_of() -> Callable[..., RunReport]:
    return make_report
