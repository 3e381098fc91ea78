"""labelme: one JSON per image with polygons, rectangles, circles and masks (https://github.com/wkentaro/labelme)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from segengine.data.annotations.documents import as_list, as_table, declared_size, read_json
from segengine.data.annotations.run_lengths import png_runs
from segengine.data.annotations.shapes import (
    MIN_COORDINATES,
    AnnotatedImage,
    Annotations,
    Points,
    Shape,
    ellipse,
    paired_points,
    rectangle,
)
from segengine.errors import DataError


def add_labelme(path: Path, split: str | None, found: Annotations) -> None:
    """Add the image of a file to `found`; other JSON files are ignored.

    Raises:
        DataError: not JSON, or a shape that can't be read.
    """
    document = read_json(path)
    if not isinstance(document, dict) or "shapes" not in document or "imagePath" not in document:
        return
    size = declared_size(document.get("imageHeight"), document.get("imageWidth"))
    shapes = []
    for number, entry in enumerate(as_list(document["shapes"], "shapes", str(path)), start=1):
        where = f"{path}: shape {number}"
        shape = _shape(as_table(entry, "a shape", where), where)
        if isinstance(shape, str):
            found.skip(shape)
        else:
            shapes.append(shape)
    named = document["imagePath"]
    names = (*((named,) if isinstance(named, str) and named else ()), path.stem)
    found.images.append(AnnotatedImage(names, str(path), path.parent, size, tuple(shapes), split, annotated=True))


def _shape(entry: dict[str, Any], where: str) -> Shape | str:
    """The shape, or the kind of a shape without area."""
    label, kind = entry.get("label"), entry.get("shape_type") or "polygon"
    if not isinstance(label, str):
        raise DataError(f"{where}: has no label; correct it in labelme")
    points = paired_points(as_list(entry.get("points"), "points", where), where)
    if kind in ("line", "linestrip", "point", "points"):
        return str(kind)
    if kind in ("rectangle", "circle", "mask") and len(points) != 4:
        raise DataError(f"{where}: a {kind} has {len(points) // 2} points instead of 2; correct it in labelme")
    if kind == "mask":
        left, top = math.floor(min(points[0], points[2])), math.floor(min(points[1], points[3]))
        return Shape(label, runs=png_runs(str(entry.get("mask")), left, top, where))
    polygon: Points = points
    if kind == "rectangle":
        polygon = rectangle(*points)
    elif kind == "circle":
        radius = math.dist(points[:2], points[2:])
        polygon = ellipse(points[0], points[1], radius, radius)
    return Shape(label, (polygon,)) if len(polygon) >= MIN_COORDINATES else f"{kind} with fewer than 3 points"
