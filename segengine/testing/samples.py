"""Small sample files for checks: images and masks of three classes in common encodings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAY_VALUES = (0, 63, 126)
COLOURS = ((0, 0, 0), (255, 0, 0), (0, 255, 0))
_HEIGHT, _WIDTH = 24, 32


def sample_folder(folder: Path, *, images: int = 4) -> Path:
    """Write `train`, `validation` and `test`, each with `images/*.png` (8-bit gray) and `masks/*.png` (0, 63, 126).

    Returns `folder`, for use as a parameter of a source; `images` is the number of images per split.
    """
    from PIL import Image

    rng = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        for number in range(images):
            mask = np.asarray(GRAY_VALUES, np.uint8)[_classes(number)]
            image = np.clip(mask * 0.8 + rng.normal(40, 8, mask.shape), 0, 255).astype(np.uint8)
            for name, pixels in (("images", image), ("masks", mask)):
                path = folder / split / name / f"{split}{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    return folder


def sample_masks(folder: Path) -> Mapping[str, list[Path]]:
    """Write three masks per encoding: gray values 0, 63, 126; 0..2; palette indices; colours; 0 and 255. Encoding -> paths."""
    from PIL import Image

    written: dict[str, list[Path]] = {}
    for name, table in _TABLES.items():
        for number in range(3):
            values = table[_classes(number) % len(table)]
            picture = Image.fromarray(values)
            if name == "palette":
                picture.putpalette([channel for colour in COLOURS for channel in colour])
            path = folder / name / "masks" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
            written.setdefault(name, []).append(path)
    return written


_TABLES: dict[str, NDArray[Any]] = {
    "gray values": np.asarray(GRAY_VALUES, np.uint8),
    "indices": np.arange(3, dtype=np.uint8),
    "palette": np.arange(3, dtype=np.uint8),
    "colours": np.asarray(COLOURS, np.uint8),
    "0 and 255": np.asarray((0, 255), np.uint8),
}


def _classes(number: int) -> NDArray[np.int64]:
    """Three vertical bands 0, 1, 2, shifted by `number` pixels; int64 [H, W]."""
    columns = np.clip((np.arange(_WIDTH) + number) * 3 // _WIDTH, 0, 2)
    return np.tile(columns, (_HEIGHT, 1))
