"""A problem that trains in a second, the command line in this process, and a finished study that tests share."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

VALUES = (0, 63, 252)
SPEC = """\
# Kreise und Quadrate, für Tests
title: Blobs
data:
  source: {name: folders, root: data}
  classes: [background, disc, square]
augmentations:
  - {name: multi-scale, base_size: 48, scale: [0.8, 1.2], crop_size: 32}
  - {name: flip, horizontal: 0.5}
model: {backbone: {name: timm, model: test_resnet}, decoder: {name: unet, channels: [16, 16, 8, 8, 8]}}
training:
  epochs: 3
  batch_size: 2
  deterministic: true
  optimizer: {name: adamw, learning_rate: 3e-3}
"""
VARIANTS = "variants:\n  plain: {}\n  slow: {training: {optimizer: {learning_rate: 1e-3}}}\n"

Encode = Callable[[NDArray[np.uint8]], Image.Image]


@dataclass(frozen=True)
class Done:
    """What a command did: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def gray(classes: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.array(VALUES, np.uint8)[classes])


def sample(seed: int, height: int = 48, width: int = 48) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A noisy picture uint8 [H, W] and its classes uint8 [H, W]: a disc and a square on a ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    classes = np.zeros((height, width), np.uint8)
    cy, cx = rng.integers(12, 36, 2)
    classes[(y - cy) ** 2 + (x - cx) ** 2 < 100] = 1
    top, left = rng.integers(2, 34, 2)
    classes[top : top + 10, left : left + 10] = 2
    picture = np.array([40, 130, 220])[classes] + rng.normal(0, 12, (height, width))
    return np.clip(picture, 0, 255).astype(np.uint8), classes


def write_images(root: Path, *, train: int = 5, validation: int = 2, test: int = 2, encode: Encode = gray) -> None:
    """Image and mask folders of the small problem."""
    for split, count in (("train", train), ("validation", validation), ("test", test)):
        for number in range(count):
            picture, classes = sample(1000 * len(split) + number)
            for kind, image in (("images", Image.fromarray(picture)), ("masks", encode(classes))):
                path = root / split / kind / f"{split[:2]}{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path)


def write_problem(folder: Path, spec: str = SPEC, **images: Any) -> Path:
    """The small problem in a folder; returns its experiment file, blobs.yaml."""
    write_images(folder / "data", **images)
    path = folder / "blobs.yaml"
    path.write_bytes(spec.encode())
    return path


def opened(path: Path) -> Image.Image:
    """A picture in memory, its file closed."""
    with Image.open(path) as picture:
        picture.load()
    return picture


def segengine(*arguments: str | Path, folder: Path) -> Done:
    """The command line, in this process."""
    from segengine.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return Done(int(left.value.code or 0), out.getvalue(), err.getvalue())


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time of change and content of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass(frozen=True)
class Study:
    """A finished study of two variants: its folder with data, blobs.yaml and runs, and what the command said."""

    folder: Path
    done: Done

    @property
    def run(self) -> Path:
        return self.folder / "runs/blobs/plain-seed0"


@cache
def _study(base: Path) -> Study:
    folder = base / f"blobs{os.getpid()}"
    # Windows line ends and no last one: an experiment file is kept as it is.
    write_problem(folder, (SPEC + VARIANTS).replace("\n", "\r\n").removesuffix("\r\n"))
    return Study(folder, segengine("run", "blobs.yaml", "--json", folder=folder))


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The finished study; not to be changed."""
    return _study(tmp_path_factory.getbasetemp())


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take longer than the training of a small problem."""
    monkeypatch.setattr("segengine.training.finish._report", lambda *arguments: None)
