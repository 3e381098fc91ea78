"""A folder in which the commands of the documentation can be run: the phantom cut down, the README's photos, finished runs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from segengine.weight_store import FOLDER_VARIABLE
from tests.docs.pages import ROOT, blocks
from tests.docs.photos import write_photos

TINY = [
    "-s", "training.epochs=1", "-s", "training.batch_size=2", "-s", "augmentations=[{name: crop, size: 32}]",
    "-s", "model.decoder=linknet", "-s", "training.optimizer={name: sgd, momentum: 0}", "--device", "cpu",
    "-s", "evaluation.metrics=[hd95]",
]  # fmt: skip
"""One step on small crops, for any of the shown experiments."""
SIDE = 64
IMAGES = {"train": 4, "validation": 1, "test": 2}


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed, both streams together."""

    code: int
    said: str


@dataclass(frozen=True)
class Desk:
    """A working folder for the commands of the documentation."""

    folder: Path

    def run(self, *arguments: str) -> Done:
        """Run segengine in this process."""
        from segengine.cli.main import main

        said = io.StringIO()
        os.environ[FOLDER_VARIABLE] = str(self.folder / "store")  # never the user's own
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                main(list(arguments))
            except SystemExit as ended:
                return Done(int(ended.code or 0), said.getvalue())
            finally:
                del os.environ[FOLDER_VARIABLE]
        raise AssertionError("main returned")


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The folder without runs."""
    folder = tmp_path_factory.mktemp("documentation") / "desk"
    shutil.copytree(ROOT / "experiments", folder / "experiments")
    for split, count in IMAGES.items():
        for kind in ("images", "masks"):
            target = folder / "data" / "abdomen" / split / kind
            target.mkdir(parents=True)
            for picture in sorted((ROOT / "data" / "abdomen" / split / kind).glob("*.png"))[:count]:
                with Image.open(picture) as image:
                    image.resize((SIDE, SIDE), Image.Resampling.NEAREST).save(target / picture.name)
    shutil.copytree(folder / "data" / "abdomen" / "test" / "images", folder / "pictures")
    for name, source in zip(("a.png", "b.png"), sorted((folder / "pictures").iterdir()), strict=True):
        shutil.copy(source, folder / name)
    write_photos(folder / "photos")
    readme = ROOT / "README.md"
    (folder / "my.yaml").write_text(next(block.text for block in blocks(readme, "yaml") if "photos" in block.text))
    (folder / "typo.yaml").write_text(next(block.text for block in blocks(readme, "text") if "clases" in block.text))
    for name in ("model.safetensors", "resnet34.safetensors"):
        save_file({"weight": np.zeros(1, np.float32)}, folder / name)
    ready = Desk(folder)
    assert ready.run("weights", "add", "model.safetensors", "--name", "resnet34-a1").code == 0
    return ready


@pytest.fixture(scope="session")
def trained(desk: Desk) -> Iterator[Desk]:
    """The folder with finished runs of the sample experiment and of the README's own data."""
    import torch

    threads, environment = torch.get_num_threads(), dict(os.environ)
    torch.set_num_threads(1)
    done = desk.run("run", "experiments/abdomen.yaml", *TINY)
    assert done.code == 0, done.said
    done = desk.run("run", "my.yaml", "--variant", "vgg11", *TINY)
    assert done.code == 0, done.said
    longer = desk.folder / "runs" / "abdomen-long"
    shutil.copytree(desk.folder / "runs" / "abdomen", longer)
    for path in longer.glob("*/run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "experiment": "abdomen-long"}))
    yield desk
    torch.set_num_threads(threads)
    os.environ.clear()
    os.environ.update(environment)
