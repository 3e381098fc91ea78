"""Mistakes in mask mappers, augmentations, sources, optimizers and trackers."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import Field

from segengine.plugin import (
    Augmentation,
    DataError,
    Exporter,
    Label,
    MaskEncoding,
    MaskMapper,
    Optimizer,
    Record,
    Source,
    SpecError,
    Tracker,
)
from segengine.testing import findings, sample_folder


class Sample:
    """A pixel transform made of a function; what it declares is the size that it is told."""

    def __init__(self, function: Any, size: Any) -> None:
        self.function, self.size = function, size

    def apply(self, image: Any, mask: Any, rng: Any) -> Any:
        return self.function(image, mask, rng)


def in_place(image, mask, rng):
    image[0] = 0
    return image, mask


def writes_around_read_only(image, mask, rng):
    image.setflags(write=True)
    image[0] = 0
    return image, mask


def shifted(fill):
    def function(image, mask, rng):
        moved = np.full_like(mask, fill)
        moved[2:] = mask[:-2]
        return np.roll(image, 2, axis=0), moved

    return function


@pytest.mark.parametrize(
    ("function", "finding"),
    [
        (lambda image, mask, rng: (image, mask), None),
        (shifted(255), None),
        (shifted(0), "a mask of the constant 3 comes out with [0]; move masks by nearest neighbour"),
        (in_place, "raises ValueError: assignment destination is read-only; it must hold: The given image and mask"),
        (writes_around_read_only, "changes the image or mask that it is given; work on a copy"),
        (lambda image, mask, rng: (np.roll(image, np.random.randint(9)), mask), "the same rng gives different samples"),
        (lambda image, mask, rng: (image / 255.0, mask), "comes out as float64, its mask as uint8; give uint8"),
        (
            lambda image, mask, rng: (image[:, ::-1], mask[:, ::-1]),
            "not contiguous in memory; return np.ascontiguousarray",
        ),
        (
            lambda image, mask, rng: (image[..., :3].copy() if image.shape[2] > 3 else image, mask),
            "with 5 channels comes out with shape",
        ),
        (lambda image, mask, rng: (image[:4].copy(), mask), "comes out 4x56, its mask 40x56; change both alike"),
        (
            lambda image, mask, rng: (image[:4].copy(), mask[:4].copy()),
            "declares (40, 56), but a sample of 40x56 comes out 4x56",
        ),
    ],
)
def test_mistakes_of_augmentations(function, finding):
    class Change(Augmentation):
        """Changes a sample."""

        name: Literal["change"] = "change"

        def build(self, *, size):
            return Sample(function, size)

    found = findings(Change)
    assert found == [] if finding is None else [line for line in found if finding in line], found


def test_a_transform_needs_a_method_and_a_size():
    class Wrong(Augmentation):
        """Changes a sample."""

        name: Literal["wrong"] = "wrong"

        def build(self, *, size):
            return lambda image, mask: (image, mask)

    (line,) = findings(Wrong)
    assert line.startswith("Wrong: build() gives function without draw() and apply(); give a transform with `size`")


class Table:
    """Gray values by position, with one mistake by name."""

    ignored = ()

    def __init__(self, mistake: str, names: Any, found: Any) -> None:
        if found.encoding.kind != "gray" or len(found.values) != 3:
            raise DataError("three gray values are needed")
        self.mistake, self.values = mistake, np.array(sorted(found.values))
        self.encoding: MaskEncoding = found.encoding
        names = [*names] if names and mistake != "names" else ["a", "b", "c"]
        self.labels = tuple(
            Label(i, n, int(v), (0, 0, 0)) for i, (n, v) in enumerate(zip(names, self.values, strict=True))
        )

    def to_classes(self, raw: Any, *, where: str = "") -> Any:
        if self.mistake == "wraps":
            raw = raw.astype(np.uint8)
        unknown = ~np.isin(raw, self.values)
        if unknown.any() and self.mistake == "key":
            raise KeyError(int(raw[unknown][0]))
        if unknown.any():
            value = int(raw[unknown][0])
            raise DataError(f"value {value} is no class" + ("" if self.mistake == "where" else f" in {where}"))
        classes = np.searchsorted(self.values, raw)
        return classes if self.mistake == "type" else classes.astype(np.uint8)

    def to_raw(self, classes: Any) -> Any:
        if self.mistake == "back":
            return classes
        return self.values[classes].astype(np.uint8)


@pytest.mark.parametrize(
    ("mistake", "finding"),
    [
        ("", None),
        ("names", "with gray values: given the names ['thing 0', 'thing 1', 'thing 2'] its labels are ['a', 'b', 'c']"),
        ("type", "with gray values: to_classes() gives int64 [24, 32]; give uint8 [H, W]"),
        ("back", "with gray values: to_raw() doesn't write class 1 (b) with its raw value 63"),
        ("key", "with gray values: the unmapped value 1 raises KeyError: 1; raise DataError that names file, value"),
        (
            "where",
            "with gray values: the message for the unmapped value 1 is 'value 1 is no class'; name the file (`where`)",
        ),
        (
            "wraps",
            "with gray values: 16-bit values wrap around to known ones; look values up without casting them to uint8",
        ),
    ],
)
def test_mistakes_of_mask_mappers(mistake, finding):
    class Positions(MaskMapper):
        """Gray values by position."""

        name: Literal["positions"] = "positions"

        def build(self, *, classes, found):
            return Table(mistake, classes, found)

    found = findings(Positions)
    assert found == [] if finding is None else [line for line in found if finding in line], found


def test_a_mask_mapper_may_be_tried_on_masks_of_ones_own(tmp_path: Path):
    class Choosy(MaskMapper):
        """Gray values by position, of masks that have 63."""

        name: Literal["choosy"] = "choosy"

        def build(self, *, classes, found):
            if 63 not in found.values or found.folder != tmp_path:
                raise SpecError("not mine")
            return Table("", classes, found)

    assert findings(Choosy) == [
        "Choosy: refuses every kind of sample mask (not mine); give parameters or a folder of masks that it is made for"
    ]
    for path in (sample_folder(tmp_path) / "train" / "images").iterdir():
        path.unlink()
    for split in ("validation", "test"):
        for path in (tmp_path / split).rglob("*.png"):
            path.unlink()
    assert findings(Choosy, folder=tmp_path) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda records: records, None),
        (lambda records: records[::-1], "records are not sorted; sort them by id"),
        (lambda records: [records[0], *records], "two images have the id 'test/images/test0'"),
        (lambda records: [Record("x", Path("nowhere.png"), None, "x")], "x: image or mask is not a file"),
        (
            lambda records: [Record("x", records[0].image, None, "x", "training")],
            "x: there is no split 'training'; use train",
        ),
        (lambda records: [Record("x", records[0].image, None, "")], "x: has no group; use the id"),
        (lambda records: [], "finds no image; give parameters that name some"),
        (tuple, "build() gives tuple; give a list of segengine.plugin.Record"),
    ],
)
def test_mistakes_of_sources(tmp_path, change, finding):
    class Listed(Source):
        """Images of a folder."""

        name: Literal["listed"] = "listed"
        root: Path = Field(description="the folder")

        def build(self):
            paths = sorted(self.root.glob("*/images/*.png"))
            names = [path.relative_to(self.root).with_suffix("").as_posix() for path in paths]
            return change([Record(name, path, None, name) for name, path in zip(names, paths, strict=True)])

    found = findings(Listed, {"root": sample_folder(tmp_path)})
    assert found == [] if finding is None else [line for line in found if finding in line], found


@pytest.mark.parametrize(
    ("settings", "finding"),
    [
        ({"lr": 0.1, "momentum": 0.9}, None),
        ({"lr": 0.1, "maximize": True}, "a quadratic goes from"),
        ({"lr": 0.2}, "groups start at the learning rates [0.2], and peak_learning_rate is 0.1"),
    ],
)
def test_mistakes_of_optimizers(settings, finding):
    class Descent(Optimizer):
        """Gradient descent."""

        name: Literal["descent"] = "descent"

        @property
        def peak_learning_rate(self):
            return 0.1

        def build(self, *, parameters, fused=False):
            import torch

            return torch.optim.SGD(list(parameters), **settings)

    found = findings(Descent)
    assert found == [] if finding is None else [line for line in found if finding in line], found


def test_trackers_take_every_event_and_exporters_can_be_called():
    class Nosy(Tracker):
        """Wants a loss of every event."""

        name: Literal["nosy"] = "nosy"

        def build(self, *, folder):
            return lambda event: event.loss

    class Idle(Exporter):
        """Exports nothing."""

        name: Literal["idle"] = "idle"

        def build(self):
            return None

    assert findings(Nosy) == [
        "Nosy: raises AttributeError: 'RunStarted' object has no attribute 'loss'; it must hold: A tracker takes every "
        "event of a run, those that it doesn't care for too, and of a run that goes on"
    ]
    assert findings(Idle) == ["Idle: build() gives NoneType, which can't be called; give a function"]
