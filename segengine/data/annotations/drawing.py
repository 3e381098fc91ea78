"""Files of shapes: the mask of an annotated image as text, rasterised on reading.

A file depends on the annotation, the classes and the settings only, so its digest is the same on every machine. It is
stored in the cache folder under a hash of its content, and can be deleted at any time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segengine.data.annotations.raster import Overlap, Painted, rasterise
from segengine.data.annotations.shapes import Runs
from segengine.data.files.formats import SHAPES_SIGNATURE
from segengine.data.files.limits import check_size
from segengine.data.files.stored import Stored
from segengine.data.masks.labels import class_colour
from segengine.data.masks.mapping import MOST_CLASSES

_IGNORED_COLOUR = (224, 224, 192)  # PASCAL VOC's void
_VERSION = 1


@dataclass(frozen=True)
class Values:
    """Values in rasterised masks: classes 0..`highest`, and `ignored`."""

    highest: int

    @property
    def ignored(self) -> int:
        """The value of ignored pixels: 255, or 65535 if there are more classes than fit in 8 bits."""
        return 255 if self.highest < MOST_CLASSES else 65535


def shapes_file(shapes: Sequence[Painted], height: int, width: int, overlap: Overlap, values: Values) -> bytes:
    """The content of a file of shapes."""
    document = {
        "version": _VERSION, "size": [height, width], "overlap": overlap, "highest": values.highest,
        "shapes": [_plain(shape) for shape in shapes],
    }  # fmt: skip
    return SHAPES_SIGNATURE + b"\n" + json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def read(path: Path, content: bytes) -> Stored:
    """Rasterise a file of shapes: palette indices uint8 [H, W], or uint16 if there are more classes than fit in 8 bits."""
    document = json.loads(content[len(SHAPES_SIGNATURE) :])
    height, width = document["size"]
    values = Values(document["highest"])
    deep = values.ignored > 255
    check_size(path, height, width, 2 if deep else 1)
    shapes = [_painted(shape) for shape in document["shapes"]]
    drawn = rasterise(shapes, height, width, document["overlap"], dtype=np.uint16 if deep else np.uint8)
    if deep:
        return Stored(drawn, 16)
    palette = [class_colour(i, background=i == 0) for i in range(255)]
    return Stored(drawn, 8, palette=(*palette, _IGNORED_COLOUR))


def _plain(shape: Painted) -> dict[str, Any]:
    entry: dict[str, Any] = {"value": shape.value}
    if shape.runs is not None:
        entry |= {"counts": shape.runs.counts, "window": shape.runs.window, "columns": shape.runs.columns}
    else:
        entry["polygons"] = shape.polygons
    return entry | ({"z": shape.z} if shape.z else {}) | ({"below": True} if shape.below else {})


def _painted(entry: dict[str, Any]) -> Painted:
    runs = None
    if "counts" in entry:
        left, top, width, height = entry["window"]
        runs = Runs(tuple(entry["counts"]), (left, top, width, height), entry["columns"])
    polygons = tuple(tuple(points) for points in entry.get("polygons", ()))
    return Painted(entry["value"], polygons, runs, entry.get("z", 0), entry.get("below", False))
