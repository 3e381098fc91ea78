"""Small run folders made up through the run folder's own writers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segengine.files import write_text
from segengine.metrics.confusion import ImageCounts
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.runs.tables import ImageRow, write_counts, write_images

CLASSES = ("background", "liver", "spleen")
SETTINGS: dict[str, Any] = {
    "name": "abdomen", "title": "Organs", "seeds": [0], "variants": {"a": {}},
    "data": {"source": {"name": "folders", "root": "data"}, "split": {"by": "image", "seed": 0}, "cache": "auto"},
    "augmentations": [{"name": "flip", "horizontal": 0.5}, {"name": "crop", "size": 128}],
    "model": {"backbone": {"name": "vgg", "depth": 11}, "decoder": {"name": "unet"}},
    "loss": {"name": "cross-entropy"},
    "training": {"epochs": 20, "batch_size": 8, "workers": "auto"},
}  # fmt: skip


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with the setting at a dotted path changed; None removes it."""
    result = copy.deepcopy(document)
    *above, last = path.split(".")
    block: Any = result
    for step in above:
        block = block[int(step) if step.isdigit() else step]
    block[last] = value
    return result


def tables(truth: np.ndarray, right: np.ndarray) -> dict[int, np.ndarray]:
    """Confusions by image: of `truth` pixels [N, K] a share `right` [N, K] is found, the rest taken for the next class."""
    result = {}
    for i, (pixels, share) in enumerate(zip(truth, right, strict=True)):
        hit = np.round(pixels * share).astype(np.int64)
        table = np.diag(hit)
        for k in range(len(pixels)):
            table[k, (k + 1) % len(pixels)] += pixels[k] - hit[k]
        result[i] = table
    return result


Make = Callable[..., RunFolder]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes run folders below tmp_path / "runs": see `maker`."""
    return maker(tmp_path)


def maker(tmp_path: Path) -> Make:
    """`make("vgg", seed=0, quality=0.8, settings={"training.epochs": 5}, experiment=..., images=..., **run_json)`."""

    def run(
        variant: str, seed: int = 0, *, quality: float = 0.8, experiment: str = "abdomen", fold: int | None = None,
        images: int = 6, test: tuple[int, ...] = (3, 4, 5), split: str = "test", settings: dict[str, Any] | None = None,
        truth: np.ndarray | None = None, classes: tuple[str, ...] = CLASSES, root: Path | None = None, **facts: Any,
    ) -> RunFolder:  # fmt: skip
        part = "" if fold is None else f"-fold{fold}"
        folder = RunFolder((root or tmp_path / "runs") / experiment / f"{variant}{part}-seed{seed}")
        rows = [
            ImageRow(i, f"p{i // 2}/s{i}", f"p{i // 2}", split if i in test else "train", 40, 50) for i in range(images)
        ]
        write_images(folder / names.IMAGES, rows)
        truth = np.random.default_rng(1).integers(50, 900, (images, len(classes))) if truth is None else truth
        rng = np.random.default_rng(seed)
        right = np.clip(quality + 0.02 * rng.standard_normal(truth.shape), 0, 1)
        counts = {i: table for i, table in tables(truth, right).items() if i in test}
        write_counts(folder / names.counts_file(split), ImageCounts.of(counts, len(classes)))
        spec = SETTINGS
        for path, value in ({"model.backbone.name": variant} | (settings or {})).items():
            spec = changed(spec, path, value)
        write_text(folder / names.SPEC, json.dumps(spec))
        folder.update(**{
            "status": "finished", "message": "", "experiment": experiment, "title": "", "variant": variant, "seed": seed, "fold": fold,
            "devices": ["CPU"], "precision": "fp32", "versions": {"torch": "2.9", "segengine": "0.1.0"},
            "parameters": 9_220_480, "macs": 7_616_000_000, "macs_size": [256, 256],
            "images_per_second": 4.0 + seed, "train_seconds": 120.0,
            "data": {"fingerprint": "aaaa" if fold is None else f"fold{fold}", "images": {"test": len(test)}, "channels": 1},
            "labels": [{"index": k, "name": name, "raw": 63 * k, "colour": [k, 0, 0]} for k, name in enumerate(classes)],
            "ignored": [], "metric_policy": {"averaged": list(classes[1:]), "left_out": [classes[0]], "undefined": "left out"},
            "budget": {"epochs": 20, "steps": 60, "images": 480},
        } | facts)  # fmt: skip
        return folder

    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where `make` puts its runs."""
    return tmp_path / "runs"
