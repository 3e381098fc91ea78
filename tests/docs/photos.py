"""A small data set for the documentation: eight photographs of cells, and mistakes that people make with masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.uint8]
VALUES = (0, 100, 200)
SPEC = """\
data:
  source: {name: folders, root: photos}
  classes: [background, cell, nucleus]
model: {backbone: {name: vgg, depth: 11}}
"""


def mask(index: int, height: int = 48, width: int = 64) -> Mask:
    """Background 0, a cell of 100, its nucleus of 200."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - 24, x - 26 - 2 * (index % 8))
    return np.where(distance < 7, 200, np.where(distance < 17, 100, 0)).astype(np.uint8)


def write_photos(root: Path, count: int = 8) -> None:
    """Write root/images/p1_a.png ... and root/masks/p1_a.png ...: patients p1 to p4 with two pictures each."""
    rng = np.random.default_rng(0)
    for index in range(count):
        truth = mask(index)
        image = np.clip(truth * 0.6 + 40 + rng.normal(0, 12, truth.shape), 0, 255).astype(np.uint8)
        name = f"p{index // 2 + 1}_{'ab'[index % 2]}.png"
        for folder, picture in (("images", image), ("masks", truth)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(root / folder / name)


def masks_of(root: Path) -> list[Path]:
    return sorted((root / "masks").iterdir())


def change(path: Path, edit: Callable[[Mask], Mask]) -> None:
    """Save a mask again as `edit` makes it."""
    Image.fromarray(edit(np.asarray(Image.open(path)))).save(path)


def stray(root: Path, spec: Path) -> None:
    """Twelve pixels with a value that is no class, in a set whose values are listed."""

    def edit(old: Mask) -> Mask:
        new = old.copy()
        new[2:5, 2:6] = 101
        return new

    change(masks_of(root)[0], edit)
    spec.write_text(SPEC.replace("model:", "  mask_mapper: {name: gray-index, values: [0, 100, 200]}\nmodel:"))


def too_few_names(root: Path, spec: Path) -> None:
    spec.write_text(SPEC.replace(", nucleus", ""))


def other_size(root: Path, spec: Path) -> None:
    change(masks_of(root)[0], lambda old: old[:40])


def turned(root: Path, spec: Path) -> None:
    change(masks_of(root)[0], lambda old: np.ascontiguousarray(old.T))


def missing(root: Path, spec: Path) -> None:
    masks_of(root)[0].unlink()


def resized(root: Path, spec: Path) -> None:
    """Masks that were made smaller and larger again with interpolation."""
    for path in masks_of(root):
        picture = Image.open(path)
        picture.resize((32, 24), Image.Resampling.BILINEAR).resize((64, 48), Image.Resampling.BILINEAR).save(path)


def coloured(root: Path, spec: Path) -> None:
    table = np.zeros((256, 3), np.uint8)
    table[100], table[200] = (255, 0, 0), (0, 0, 255)
    for path in masks_of(root):
        change(path, lambda old: table[old])


def void_border(root: Path, spec: Path) -> None:
    """Two pixels around each border between values are 255, as in PASCAL VOC; classes aren't named."""

    def edit(old: Mask) -> Mask:
        wide = np.pad(old, 1, mode="edge")
        around = np.stack([wide[i : i + 48, j : j + 64] for i in range(3) for j in range(3)])
        return np.where(around.max(axis=0) != around.min(axis=0), 255, old).astype(np.uint8)

    for path in masks_of(root):
        change(path, edit)
    spec.write_text(SPEC.replace("  classes: [background, cell, nucleus]\n", ""))


def binary(root: Path, spec: Path) -> None:
    for path in masks_of(root):
        change(path, lambda old: ((old > 0) * 255).astype(np.uint8))
    spec.write_text(SPEC.replace("cell, nucleus", "cell"))


def numbered(root: Path, spec: Path) -> None:
    """One number an object instead of one value a class."""
    cells = np.arange(48, dtype=np.uint8).reshape(6, 8).repeat(8, axis=0).repeat(8, axis=1)
    for path in masks_of(root):
        change(path, lambda old: cells)
    spec.write_text(SPEC.replace("  classes: [background, cell, nucleus]\n", ""))


def patient_in_two_splits(root: Path, spec: Path) -> None:
    for part in ("images", "masks"):
        files = sorted((root / part).iterdir())
        for split, names in (("train", files[:5]), ("validation", files[5:])):
            (root / split / part).mkdir(parents=True)
            for name in names:
                name.rename(root / split / part / name.name)
    spec.write_text(SPEC.replace("model:", '  split: {group: "^(p[0-9]+)"}\nmodel:'))


MISTAKES: dict[str, Callable[[Path, Path], None]] = {
    made.__name__: made
    for made in (stray, too_few_names, other_size, turned, missing, resized, coloured, void_border, binary, numbered,
                 patient_in_two_splits)
}  # fmt: skip


def what_is_said(spec: Path) -> str:
    """The error, or else the warnings, of preparing an experiment's data."""
    from segengine.building.dataset import load_dataset
    from segengine.errors import SegengineError
    from segengine.specs.load import load_experiment

    try:
        [experiment] = load_experiment(spec).variants.values()
        return "\n".join(load_dataset(experiment, None, lambda event: None).warnings)
    except SegengineError as error:
        return str(error)
