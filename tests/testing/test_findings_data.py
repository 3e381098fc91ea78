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
    """A pixel transform that calls a function; it declares the size passed to it."""

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
        (shifted(0), "a mask that is 3 everywhere contains [0] afterwards; resample masks with nearest neighbour"),
        (in_place, "raises ValueError: assignment destination is read-only; requirement: The input image and mask"),
        (writes_around_read_only, "the input image or mask is modified; work on a copy"),
        (lambda image, mask, rng: (np.roll(image, np.random.randint(9)), mask), "results differ for the same rng"),
        (lambda image, mask, rng: (image / 255.0, mask), "image float64, mask uint8; return uint8"),
        (
            lambda image, mask, rng: (image[:, ::-1], mask[:, ::-1]),
            "not contiguous in memory; return np.ascontiguousarray",
        ),
        (
            lambda image, mask, rng: (image[..., :3].copy() if image.shape[2] > 3 else image, mask),
            "with 5 channels: image of shape",
        ),
        (
            lambda image, mask, rng: (image[:4].copy(), mask),
            "image of 4x56 pixels, mask of 40x56; apply the same geometry to both",
        ),
        (
            lambda image, mask, rng: (image[:4].copy(), mask[:4].copy()),
            "declares (40, 56), but the result for a sample of 40x56 is 4x56",
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
    assert line.startswith("Wrong: build() returns function without draw() and apply(); return a transform with `size`")


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
        (
            "names",
            "with gray values: with classes=['thing 0', 'thing 1', 'thing 2'] the labels are named ['a', 'b', 'c']",
        ),
        ("type", "with gray values: to_classes() returns int64 [24, 32]; return uint8 [H, W]"),
        ("back", "with gray values: to_raw() does not map class 1 (b) to its raw value 63"),
        ("key", "with gray values: the unmapped value 1 raises KeyError: 1; raise a DataError with file, value"),
        (
            "where",
            "with gray values: the error for the unmapped value 1 is 'value 1 is no class'; include the file (`where`)",
        ),
        (
            "wraps",
            "with gray values: 16-bit values wrap around to mapped ones; do not cast raw values to uint8",
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


def test_a_mask_mapper_can_be_checked_with_masks_in_a_folder(tmp_path: Path):
    class Choosy(MaskMapper):
        """Gray values by position, of masks that have 63."""

        name: Literal["choosy"] = "choosy"

        def build(self, *, classes, found):
            if 63 not in found.values or found.folder != tmp_path:
                raise SpecError("not mine")
            return Table("", classes, found)

    assert findings(Choosy) == [
        "Choosy: build() rejects all sample masks (not mine); pass parameters, or a folder of masks that it supports"
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
        (lambda records: [records[0], *records], "duplicate id 'test/images/test0'"),
        (lambda records: [Record("x", Path("nowhere.png"), None, "x")], "x: image or mask is not a file"),
        (
            lambda records: [Record("x", records[0].image, None, "x", "training")],
            "x: unknown split 'training'; use train",
        ),
        (lambda records: [Record("x", records[0].image, None, "")], "x: the group is empty; use the id"),
        (lambda records: [], "build() finds no images; pass parameters for existing ones"),
        (tuple, "build() returns tuple; return a list of segengine.plugin.Record"),
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
        ({"lr": 0.1, "maximize": True}, "a quadratic changes from"),
        ({"lr": 0.2}, "parameter groups have learning rates [0.2], but peak_learning_rate is 0.1"),
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


def test_trackers_accept_every_event_and_exporters_are_callable():
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
        "Nosy: raises AttributeError: 'RunStarted' object has no attribute 'loss'; requirement: The listener accepts every "
        "event of a run and of a resumed run, including events that it ignores"
    ]
    assert findings(Idle) == ["Idle: build() returns NoneType, which is not callable; return a function"]


@pytest.mark.parametrize(
    ("function", "finding"),
    [
        (
            lambda image, mask: (np.ascontiguousarray(image[:, ::-1]), mask),
            "do where the image is flipped horizontally",
        ),
        (lambda image, mask: (image, np.ascontiguousarray(mask[::-1])), "do where the image is flipped vertically"),
        (lambda image, mask: (np.roll(image, 5, axis=1), mask), "do where the image is shifted by -5 columns"),
        (lambda image, mask: (image, (mask // 2 + np.roll(mask, 1, axis=1) // 2)), "never blur or interpolate a mask"),
    ],
)
def test_image_and_mask_that_no_longer_match_are_found(function, finding):
    class Change(Augmentation):
        """Changes a sample."""

        name: Literal["change"] = "change"

        def build(self, *, size):
            return Sample(lambda image, mask, rng: function(image, mask), size)

    assert [line for line in findings(Change) if finding in line]


def test_a_geometry_that_does_nothing_is_found():
    from segengine.plugin import Geometry

    class Still:
        size = None

        def draw(self, rng, height, width):
            return Geometry(np.eye(3), height, width)

    class Change(Augmentation):
        """Changes nothing."""

        name: Literal["change"] = "change"

        def build(self, *, size):
            return Still()

    assert [line for line in findings(Change) if "changes nothing in 60 draws" in line]
