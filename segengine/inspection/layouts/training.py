"""Training settings derived from the data and the machine, each with its reason."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segengine.data.files.reading import read_mask
from segengine.data.masks.mapping import Raw
from segengine.data.sources.records import Record
from segengine.errors import DataError
from segengine.inspection.layouts.meaning import Meaning, sided

_MULTIPLE = 32
_RARE = 0.02
_SAMPLED = 80


@dataclass(frozen=True)
class Training:
    """Blocks of an experiment file with their comments."""

    augmentations: tuple[tuple[Mapping[str, Any], str], ...]
    loss: Any
    loss_why: str
    batch_size: int | str
    batch_why: str
    epochs: int
    gpu: bool

    @property
    def backbone(self) -> str:
        """The backbone of the first variant; a small one without a GPU."""
        return "{name: vgg, depth: 16}" if self.gpu else "{name: timm, model: resnet18}"

    @property
    def variant(self) -> str:
        """The name of the first variant."""
        return "vgg16" if self.gpu else "resnet18"

    @property
    def other(self) -> str:
        """A second variant for comparison."""
        other = "{name: timm, model: resnet34}" if self.gpu else "{name: vgg, depth: 11}"
        return f"{'resnet34' if self.gpu else 'vgg11'}: {{model: {{backbone: {other}}}}}"


def plan_training(longer_sides: Sequence[int], records: Sequence[Record], meaning: Meaning) -> Training:
    """Determine crop, batch size, flips, loss and epochs."""
    gpu = _has_gpu()
    side = longer_sides[len(longer_sides) // 2]
    base = min(1024 if gpu else 512, _multiple(side))
    crop = min(512 if gpu else 160, base)
    rare = {name: share for name, share in meaning.shares.items() if 0 < share < _RARE}
    training = sum(r.split in (None, "train") for r in records)
    batch = "auto" if gpu else max(2, min(8, training // 2))
    window: dict[str, Any] = {"name": "multi-scale", "base_size": base, "scale": [0.5, 1.5], "crop_size": crop}
    why = ""
    if rare:
        window["rare_share"] = 0.5
        why = f"half of the crops are centred on a random class, because {_shares(rare)}"
    flips, flips_why = _flips(records, meaning)
    augmentations = [(window, why)]
    if flips:
        augmentations.append(({"name": "flip", "horizontal": 0.5}, flips_why))
    loss: Any = "cross-entropy"
    if rare:
        dice = {"name": "dice", "over": "batch"}
        loss = {"name": "weighted-sum", "terms": [{"loss": "cross-entropy"}, {"loss": dice}]}
    steps = max(
        1, (training * 7 // 10 if training == len(records) else training) // (8 if batch == "auto" else int(batch))
    )
    return Training(
        tuple(augmentations), loss,
        f"Dice gives classes equal weight regardless of their number of pixels: {_shares(rare)}" if rare else "",
        batch, "as many as fit into the GPU's memory" if gpu else "for this machine's CPU; auto on a GPU",
        int(np.clip(2000 // steps, 50, 200)), gpu,
    )  # fmt: skip


def _shares(rare: Mapping[str, float]) -> str:
    worst = sorted(rare.items(), key=lambda item: item[1])[:2]
    return " and ".join(f"{name} has {100 * share:.2g} % of the pixels" for name, share in worst)


def _multiple(pixels: int) -> int:
    return max(64, round(pixels / _MULTIPLE) * _MULTIPLE)


def _has_gpu() -> bool:
    if sys.platform == "linux" and not _gpu_devices():
        return False  # importing torch takes longer than the rest of `init` on known data
    import torch

    return torch.cuda.is_available()


def _gpu_devices() -> bool:
    """Whether Linux has a device file of a CUDA or ROCm GPU, including WSL and Jetson."""
    try:
        names = os.listdir("/dev")
    except OSError:
        return True
    return any(name.startswith(("nvidia", "nvhost", "nvmap", "kfd", "dxg")) for name in names)


def _flips(records: Sequence[Record], meaning: Meaning) -> tuple[bool, str]:
    """Whether images may be flipped horizontally, and why."""
    named = sided(meaning.classes)
    if len(named) > 1:
        return False, ""
    if opposite(records, meaning.raws):
        return False, ""
    return True, "no class is always on one side; remove this if left and right differ nevertheless"


def no_flip_reason(records: Sequence[Record], meaning: Meaning) -> str:
    """The reason why there is no flip; '' if there is one."""
    named = sided(meaning.classes)
    if len(named) > 1:
        return f"no flip: {' and '.join(named[:2])} would be exchanged"
    sides = opposite(records, meaning.raws)
    if sides:
        one, two = (meaning.classes[i] for i in sides)
        return f"no flip: {one} is always left of {two}"
    return ""


def opposite(records: Sequence[Record], raws: Sequence[Raw]) -> tuple[int, int] | None:
    """Two classes other than the first that are always in opposite halves of the image, roughly mirrored; None if there are none."""
    places: dict[int, list[float]] = {}
    step = max(1, len(records) // _SAMPLED)
    for record in records[::step]:
        if record.mask is None:
            continue
        try:
            raw = read_mask(record.mask)
        except DataError:
            continue
        for index, value in enumerate(raws[:16]):
            if index == 0:
                continue
            here = (
                (raw == value)
                if raw.ndim == 2 or not isinstance(value, tuple)
                else (raw == np.array(value)).all(axis=2)
            )
            weights = np.count_nonzero(here, axis=0) if here.ndim == 2 else np.zeros(0, np.int64)
            if weights.any():
                places.setdefault(index, []).append(
                    float((weights * np.arange(len(weights))).sum() / weights.sum() / here.shape[1])
                )
    left = [i for i, x in places.items() if len(x) >= 8 and float(np.quantile(x, 0.97)) < 0.5]
    right = [i for i, x in places.items() if len(x) >= 8 and float(np.quantile(x, 0.03)) > 0.5]
    pairs = [(a, b) for a in left for b in right if abs(np.mean(places[a]) + np.mean(places[b]) - 1) < 0.15]
    return min(pairs, default=None)
