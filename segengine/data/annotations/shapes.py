"""Annotated shapes of an image, independent of the file format they come from, and geometry of boxes and ellipses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segengine.errors import DataError

Points = tuple[float, ...]
"""x1, y1, x2, y2 ...; the top-left corner of the image is (0, 0), pixel centres are at .5."""

MIN_COORDINATES = 6
"""Of a polygon with an area: 3 points."""

BACKGROUND_NAMES = {"background", "_background_", "__background__"}
"""Labels of areas that belong to no class of objects: value 0."""
IGNORED_NAMES = {"__ignore__", "ignore", "ignored", "void"}
"""Labels of areas that are excluded from training and evaluation."""
_ELLIPSE_CORNERS = 72


@dataclass(frozen=True)
class Runs:
    """Run lengths, alternately unset and set, over a window (left, top, width, height) of the image.

    `columns`: pixels are counted down the columns (COCO), else along the rows.
    """

    counts: tuple[int, ...]
    window: tuple[int, int, int, int]
    columns: bool = False


@dataclass(frozen=True)
class Shape:
    """One annotated object: the union of `polygons` (at least 3 points each), or `runs`.

    `crowd`: a region of many objects that were not annotated one by one (COCO's `iscrowd`). `z`: the layer, higher on top.
    """

    label: str
    polygons: tuple[Points, ...] = ()
    runs: Runs | None = None
    crowd: bool = False
    z: int = 0


@dataclass(frozen=True)
class AnnotatedImage:
    """The annotations of one image.

    `names` are the paths that may be the image's, the most specific first, as written in the annotation or relative to
    `beside`, the folder of the annotation file. `where` is the location of the annotation, for messages. `size` is the declared
    (height, width), None if not declared. `relative`: coordinates are fractions of the image's width and height.
    `annotated`: the file states that the image was annotated, even if it has no shapes.
    """

    names: tuple[str, ...]
    where: str
    beside: Path
    size: tuple[int, int] | None
    shapes: tuple[Shape, ...]
    split: str | None = None
    relative: bool = False
    annotated: bool = False


@dataclass
class Annotations:
    """Everything read from annotation files.

    `labels` are the classes in the files' own order, empty if the files list none. `skipped` counts annotations that have no
    area, by their kind.
    """

    images: list[AnnotatedImage] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def skip(self, kind: str) -> None:
        """Count an omitted annotation."""
        self.skipped[kind] = self.skipped.get(kind, 0) + 1

    def add_labels(self, names: Iterable[str]) -> None:
        """Append names that are not listed yet."""
        self.labels += [name for name in dict.fromkeys(names) if name not in self.labels]


def number(value: Any, where: str) -> float:
    """A finite number; raises DataError for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{where}: a coordinate is not a finite number; export the annotations again")
    return float(value)


def flat_points(values: Sequence[Any], where: str) -> Points:
    """Coordinates x1, y1, x2, y2 ... as floats. Raises DataError for an odd number or invalid numbers."""
    if len(values) % 2:
        raise DataError(f"{where}: a polygon has an odd number of coordinates; export the annotations again")
    return tuple(number(value, where) for value in values)


def paired_points(values: Sequence[Any], where: str) -> Points:
    """Coordinates [[x1, y1], [x2, y2] ...] as x1, y1, x2, y2 .... Raises DataError for anything else."""
    try:
        return tuple(number(part, where) for x, y in values for part in (x, y))
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: a point is not a pair of numbers; export the annotations again") from error


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    """The corners of a box."""
    return (left, top, right, top, right, bottom, left, bottom)


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> Points:
    """A polygon with the area of an ellipse."""
    step = 2 * math.pi / _ELLIPSE_CORNERS
    outwards = math.sqrt(step / math.sin(step))  # a regular polygon on the circle itself has less area than the circle
    corners = [(math.cos(i * step) * outwards, math.sin(i * step) * outwards) for i in range(_ELLIPSE_CORNERS)]
    return tuple(part for cos, sin in corners for part in (x + radius_x * cos, y + radius_y * sin))


def rotated(points: Points, degrees: float, around: tuple[float, float]) -> Points:
    """Points rotated clockwise as seen (y points down)."""
    if not degrees:
        return points
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = []
    for x, y in zip(points[::2], points[1::2], strict=True):
        dx, dy = x - around[0], y - around[1]
        turned += [around[0] + dx * cos - dy * sin, around[1] + dx * sin + dy * cos]
    return tuple(turned)


def scaled(points: Points, x: float, y: float) -> Points:
    """Points multiplied by a factor per axis."""
    return tuple(value * (y if i % 2 else x) for i, value in enumerate(points))
