"""Images, masks and an experiment file for the benchmarks: synthetic, or real ones where SEGENGINE_DATASETS has some."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

CLASSES = 12
WIDTH, HEIGHT = 480, 360
ENCODERS = {"vgg11": "vgg11_bn", "vgg16": "vgg16_bn", "resnet34": "resnet34"}
BACKBONES = {
    "vgg11": "{name: vgg, depth: 11}", "vgg16": "{name: vgg, depth: 16}", "resnet34": "{name: resnet, depth: 34}",
}  # fmt: skip


@dataclass(frozen=True)
class Material:
    """A folder with `{split}/images` and `{split}/masks`, and what its images are."""

    root: Path
    source: str

    def pairs(self, split: str) -> list[tuple[Path, Path]]:
        """Image and mask of each record."""
        images = sorted((self.root / split / "images").iterdir())
        return [(path, self.root / split / "masks" / path.name) for path in images]


def material(root: Path, train: int, validation: int) -> Material:
    """So many images of 480x360 pixels: of the set `street` if there, repeated where it has too few; else synthetic."""
    sets = os.environ.get("SEGENGINE_DATASETS")
    real = Path(sets, "street") if sets else None
    source = "street" if real and real.is_dir() else "synthetic"
    rng = np.random.default_rng(0)
    for split, folder, count in (("train", "train", train), ("validation", "val", validation)):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        there = sorted((real / folder).glob("*.png")) if real and source == "street" else []
        for number in range(count):
            image, mask = (root / split / kind / f"{number:04}.png" for kind in ("images", "masks"))
            if there:
                path = there[number % len(there)]
                image.symlink_to(path)
                mask.symlink_to(path.parent.parent / f"{folder}annot" / path.name)
            else:
                _write(image, rng.integers(0, 256, (HEIGHT // 10, WIDTH // 10, 3), dtype=np.uint8), cv2.INTER_CUBIC)
                _write(mask, rng.integers(0, CLASSES, (HEIGHT // 20, WIDTH // 20), dtype=np.uint8), cv2.INTER_NEAREST)
    return Material(root, f"{source} {WIDTH}x{HEIGHT}")


def _write(path: Path, small: np.ndarray, interpolation: int) -> None:
    assert cv2.imwrite(str(path), cv2.resize(small, (WIDTH, HEIGHT), interpolation=interpolation))


def experiment(folder: Path, root: Path, *, model: str, window: int, batch: int, epochs: int, workers: int) -> Path:
    """Writes the file of an experiment that does what the plain loop does."""
    path = folder / f"{model}-{window}.yaml"
    path.write_text(
        f"title: Benchmark\n"
        f"data:\n  source: {{name: folders, root: {root}, outside: allow}}\n  classes: [{', '.join(f'c{k}' for k in range(CLASSES))}]\n"
        f"augmentations:\n"
        f"  - {{name: multi-scale, base_size: {WIDTH}, scale: [0.5, 1.5], crop_size: {window}}}\n"
        f"  - {{name: flip, horizontal: 0.5}}\n  - {{name: rotate, degrees: [-15, 15]}}\n"
        f"  - {{name: brightness-contrast, brightness: 0.2, contrast: 0.2}}\n"
        f"model: {{backbone: {BACKBONES[model]}, decoder: unet}}\nloss: cross-entropy\n"
        f"training: {{epochs: {epochs}, batch_size: {batch}, optimizer: {{name: adamw, learning_rate: 1e-4}}, "
        f"workers: {workers if workers >= 0 else 'auto'}}}\nseeds: [0]\n"
    )
    return path
