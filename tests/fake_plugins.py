"""Fake plugin distributions in a folder on the path: installed, upgraded and uninstalled within one process."""

from __future__ import annotations

import importlib
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

ACME = '''
"""One component of every kind that training uses."""
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field
from segengine.plugin import (
    Augmentation, Backbone, Loss, MaskMapper, Metric, Optimizer, Record, Schedule, Source, Tracker
)


class Tiny(Backbone):
    """Two convolutions."""
    name: Literal["tiny"] = "tiny"

    def build(self, *, in_channels, output_stride=32):
        from torch import nn

        class Net(nn.Module):
            channels, strides = (4, 8), (1, 2)
            mean, std = (0.5,) * in_channels, (0.25,) * in_channels

            def __init__(self):
                super().__init__()
                self.one = nn.Conv2d(in_channels, 4, 3, padding=1)
                self.two = nn.Conv2d(4, 8, 3, stride=2, padding=1)

            def forward(self, x):
                first = self.one(x).relu()
                return [first, self.two(first).relu() * SCALE]

        return Net()


class Plain(Loss):
    """Cross-entropy."""
    name: Literal["plain"] = "plain"

    def build(self, *, num_classes, ignore_index, class_pixels):
        from torch import nn
        return nn.CrossEntropyLoss(ignore_index=ignore_index)


class Negative:
    def __init__(self, size):
        self.size = size

    def apply(self, image, mask, rng):
        return (255 - image if rng.random() < 0.5 else image), mask


class Invert(Augmentation):
    """Negatives of half of the images."""
    name: Literal["invert"] = "invert"

    def build(self, *, size):
        return Negative(size)


class Quiet(Tracker):
    """Listens."""
    name: Literal["quiet"] = "quiet"

    def build(self, *, folder):
        return lambda event: None


class Half(Metric):
    """0.5 for each class that is there."""
    name: Literal["half"] = "half"

    def build(self):
        def metric(pair):
            values = np.full(pair.num_classes, np.nan)
            for k in pair.measured:
                if pair.state(k) != "neither":
                    values[k] = 0.5
            return values
        return metric


class Descent(Optimizer):
    """Plain descent."""
    name: Literal["descent"] = "descent"

    @property
    def peak_learning_rate(self):
        return 0.01

    def build(self, *, parameters, fused=False):
        import torch
        return torch.optim.SGD(parameters, lr=0.01)


class Level(Schedule):
    """The peak rate, always."""
    name: Literal["level"] = "level"

    def factor(self, step, total_steps):
        return 1.0


class Listing(Source):
    """The splits' folders under a root."""
    name: Literal["listing"] = "listing"
    folder: Path = Field(description="folder with train, validation and test")

    def build(self):
        return [
            Record(f"{split}/{image.stem}", image, self.folder / split / "masks" / image.name, image.stem, split)
            for split in ("test", "train", "validation")
            for image in sorted((self.folder / split / "images").iterdir())
        ]


class Ascending(MaskMapper):
    """Gray values in ascending order."""
    name: Literal["ascending"] = "ascending"

    def build(self, *, classes, found):
        from segengine.components.mask_mappers import GrayIndex
        return GrayIndex().build(classes=classes, found=found)
'''

ENTRIES = {
    "backbones": {"tiny": "Tiny"}, "losses": {"plain": "Plain"}, "augmentations": {"invert": "Invert"},
    "trackers": {"quiet": "Quiet"}, "metrics": {"half": "Half"}, "optimizers": {"descent": "Descent"},
    "schedules": {"level": "Level"}, "sources": {"listing": "Listing"}, "mask_mappers": {"ascending": "Ascending"},
}  # fmt: skip


@dataclass
class Site:
    """A folder on `sys.path` with fake distributions: a module, METADATA and entry_points.txt each."""

    folder: Path
    modules: list[str] = field(default_factory=list)

    def add(
        self, package: str, entries: dict[str, dict[str, str]], code: str = "", *, api: str = "v1", version: str = "1.0"
    ) -> Path:
        """Install a distribution whose entry points are `{kind: {name: "module:Class"}}`."""
        info = self.folder / f"{package.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        groups = [
            f"[segengine.{api}.{kind}]\n" + "".join(f"{name} = {target}\n" for name, target in table.items())
            for kind, table in entries.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(groups))
        module = package.replace("-", "_")
        (self.folder / f"{module}.py").write_text(code)
        self.modules.append(module)
        self._reread()
        return self.folder

    def add_acme(
        self, *, version: str = "0.1", scale: str = "1.0", code: str = "", kinds: tuple[str, ...] = ()
    ) -> None:
        """One component of every kind that training uses (or of `kinds`), each in a package of its own: acme-backbones ..."""
        for kind in kinds or tuple(ENTRIES):
            module = f"acme_{kind}"
            table = {kind: {name: f"{module}:{cls}" for name, cls in ENTRIES[kind].items()}}
            self.remove(f"acme-{kind}")
            text = code or ACME
            self.add(f"acme-{kind.replace('_', '-')}", table, "", version=version)
            (self.folder / f"{module}.py").write_text(f"SCALE = {scale}\n" + text)
            self.modules.append(module)
            self._reread()

    def remove(self, package: str) -> None:
        """Uninstall every version of a distribution."""
        name = package.replace("-", "_")
        for info in self.folder.glob(f"{name}-*.dist-info"):
            shutil.rmtree(info)
        (self.folder / f"{name}.py").unlink(missing_ok=True)
        self._reread()

    def close(self) -> None:
        """Forget the modules that were imported from here."""
        self._reread()

    def _reread(self) -> None:
        from segengine.components.lookup import forget_installed

        for module in self.modules:
            sys.modules.pop(module, None)
        shutil.rmtree(self.folder / "__pycache__", ignore_errors=True)  # two versions may have one size and second
        importlib.invalidate_caches()
        forget_installed()
