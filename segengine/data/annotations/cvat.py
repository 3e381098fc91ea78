"""CVAT for images 1.1: one XML with polygons, boxes, ellipses and masks per image (https://docs.cvat.ai)."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from segengine.data.annotations.documents import declared_size, read_xml
from segengine.data.annotations.run_lengths import row_runs
from segengine.data.annotations.shapes import (
    MIN_COORDINATES,
    AnnotatedImage,
    Annotations,
    Points,
    Shape,
    ellipse,
    number,
    rectangle,
    rotated,
)
from segengine.data.sources.patterns import ALIASES
from segengine.errors import DataError

_WITHOUT_AREA = ("polyline", "points", "cuboid", "skeleton", "tag")


def add_cvat(path: Path, split: str | None, found: Annotations) -> None:
    """Add the images of a file to `found`; classes in the order of the task's labels; an image's subset is its split.

    Raises:
        DataError: not CVAT's XML for images, or a shape that can't be read.
    """
    root = read_xml(path)
    if root.tag != "annotations":
        raise DataError(f"{path}: is not CVAT's XML; export the task as 'CVAT for images 1.1'")
    if root.find("track") is not None:
        raise DataError(f"{path}: is 'CVAT for video', with tracks; export the task as 'CVAT for images 1.1'")
    found.add_labels(name.text.strip() for name in root.iterfind("meta//label/name") if name.text and name.text.strip())
    for image in root.iterfind("image"):
        where = f"{path}: image {image.get('id')}"
        name = image.get("name")
        if not name:
            raise DataError(f"{where}: has no name; export the annotations again")
        shapes = []
        for entry in image:
            shape = _shape(entry, where)
            if isinstance(shape, str):
                found.skip(shape)
            elif shape is not None:
                shapes.append(shape)
        size = declared_size(image.get("height"), image.get("width"))
        own = ALIASES.get((image.get("subset") or "").lower())
        found.images.append(AnnotatedImage((name,), where, path.parent, size, tuple(shapes), split or own))


def _shape(entry: Element, where: str) -> Shape | str | None:
    """The shape, the kind of a shape without area, or None for an element that is no shape."""
    if entry.tag in _WITHOUT_AREA:
        return entry.tag
    label = entry.get("label")
    if entry.tag not in ("polygon", "box", "ellipse", "mask") or label is None:
        return None
    z = int(number(entry.get("z_order") or 0, where))
    if entry.tag == "mask":
        left, top, width, height = (int(number(entry.get(key), where)) for key in ("left", "top", "width", "height"))
        counts = [count for count in (entry.get("rle") or "").split(",") if count.strip()]
        return Shape(label, runs=row_runs(counts, (left, top, width, height), where), z=z)
    points = _polygon(entry, where)
    return Shape(label, (points,), z=z) if len(points) >= MIN_COORDINATES else "polygon with fewer than 3 points"


def _polygon(entry: Element, where: str) -> Points:
    if entry.tag == "polygon":
        pairs = [pair.split(",") for pair in (entry.get("points") or "").split(";") if pair.strip()]
        if any(len(pair) != 2 for pair in pairs):
            raise DataError(f"{where}: a point is not a pair of numbers; export the annotations again")
        return tuple(number(part, where) for pair in pairs for part in pair)
    degrees = number(entry.get("rotation") or 0, where)
    if entry.tag == "ellipse":
        x, y, radius_x, radius_y = (number(entry.get(key), where) for key in ("cx", "cy", "rx", "ry"))
        return rotated(ellipse(x, y, radius_x, radius_y), degrees, (x, y))
    left, top, right, bottom = (number(entry.get(key), where) for key in ("xtl", "ytl", "xbr", "ybr"))
    return rotated(rectangle(left, top, right, bottom), degrees, ((left + right) / 2, (top + bottom) / 2))
