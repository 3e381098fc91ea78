"""Label Studio's JSON export: tasks with polygons, rectangles, ellipses and brushes (https://labelstud.io/guide/export)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from segengine.data.annotations.documents import as_list, as_table, declared_size, read_json
from segengine.data.annotations.run_lengths import brush_runs
from segengine.data.annotations.shapes import (
    MIN_COORDINATES,
    AnnotatedImage,
    Annotations,
    Points,
    Shape,
    ellipse,
    number,
    paired_points,
    rectangle,
    rotated,
    scaled,
)  # fmt: skip
from segengine.errors import DataError

_KINDS = ("polygonlabels", "rectanglelabels", "ellipselabels", "brushlabels")
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{6,8}-")
_UNKNOWN = (1, 1)


def add_label_studio(path: Path, split: str | None, found: Annotations) -> None:
    """Add the tasks of a file to `found`; of several annotations of a task, the first that was not cancelled is used.

    Raises:
        DataError: not Label Studio's JSON export, or a region that can't be read.
    """
    tasks = as_list(read_json(path), "the document", str(path))
    several = 0
    for entry in tasks:
        task = as_table(entry, "a task", str(path))
        where = f"{path}: task {task.get('id')}"
        given = task.get("annotations", task.get("completions"))
        if "data" not in task or not isinstance(given, list):
            raise DataError(
                f"{where}: is not Label Studio's JSON export; export the project as 'JSON' (not 'JSON-MIN')"
            )
        entries = [as_table(a, "an annotation", where) for a in given]
        given = [annotation for annotation in entries if not annotation.get("was_cancelled")]
        several += len(given) > 1
        results = as_list(given[0].get("result", []), "a result", where) if given else []
        regions = [as_table(region, "a region", where) for region in results]
        sizes = {size for r in regions if (size := declared_size(r.get("original_height"), r.get("original_width")))}
        if len(sizes) > 1:
            raise DataError(f"{where}: its regions declare different sizes of the image; export the annotations again")
        size = next(iter(sizes), None)
        shapes = tuple(_shapes(regions, size, where, found))
        names = tuple(dict.fromkeys(_image_names(task, where)))
        found.images.append(AnnotatedImage(names, where, path.parent, size, shapes, split, size is None, bool(given)))
    if several:
        found.notes.append(f"{path}: {several} tasks have several annotations, of which the first is used")


def _image_names(task: dict[str, Any], where: str) -> Iterator[str]:
    """File names of a task's image: the uploaded name (with Label Studio's prefix), and the original name."""
    values = [value for value in as_table(task["data"], "data", where).values() if isinstance(value, str)]
    values = [*[v for v in values if re.search(r"\.\w{3,4}($|\?)", v)], *values]
    if isinstance(task.get("file_upload"), str):
        values.append(task["file_upload"])
    if not values:
        raise DataError(f"{where}: names no image in its data; export the annotations again")
    for value in values:
        address = urlsplit(value)
        local = parse_qs(address.query).get("d")
        name = unquote(local[0] if local else address.path)
        yield name
        folder, slash, file = name.rpartition("/")
        if _UPLOAD_PREFIX.match(file):
            yield f"{folder}{slash}{_UPLOAD_PREFIX.sub('', file)}"


def _shapes(
    regions: list[dict[str, Any]], size: tuple[int, int] | None, where: str, found: Annotations
) -> Iterator[Shape]:
    """Shapes of the regions, in pixels of `size`, or as fractions if it is None."""
    height, width = size or _UNKNOWN
    for region in regions:
        kind = str(region.get("type"))
        if kind not in _KINDS:
            if kind.endswith(("labels", "choices")) or kind in ("polygon", "rectangle", "ellipse", "brush"):
                found.skip(kind)
            continue
        value = as_table(region.get("value"), "a value", where)
        labels = value.get(kind)
        if not isinstance(labels, list) or not labels:
            found.skip(f"{kind.removesuffix('labels')} without label")
            continue
        label = str(labels[0])
        if kind == "brushlabels":
            if size is None:
                raise DataError(
                    f"{where}: a brush has no original_width and original_height; export the annotations again"
                )
            if not isinstance(value.get("rle"), list):
                raise DataError(f"{where}: a brush has no run lengths; export the project as 'JSON'")
            yield Shape(label, runs=brush_runs(value["rle"], height, width, where))
            continue
        points = _polygon(kind, value, (height, width), where)
        if len(points) >= MIN_COORDINATES:
            yield Shape(label, (points,))
        else:
            found.skip("polygon with fewer than 3 points")


def _polygon(kind: str, value: dict[str, Any], size: tuple[int, int], where: str) -> Points:
    """A polygon in pixels; Label Studio's values are percent of width and height, rotated in pixels about the given point."""
    across, down = size[1] / 100, size[0] / 100
    if kind == "polygonlabels":
        return scaled(paired_points(as_list(value.get("points"), "points", where), where), across, down)
    x, y = number(value.get("x"), where) * across, number(value.get("y"), where) * down
    degrees = number(value.get("rotation") or 0, where)
    if degrees and size == _UNKNOWN:
        raise DataError(
            f"{where}: a rotated region has no original_width and original_height; export the annotations again"
        )
    if kind == "ellipselabels":
        radius_x, radius_y = number(value.get("radiusX"), where) * across, number(value.get("radiusY"), where) * down
        return rotated(ellipse(x, y, radius_x, radius_y), degrees, (x, y))
    right, bottom = x + number(value.get("width"), where) * across, y + number(value.get("height"), where) * down
    return rotated(rectangle(x, y, right, bottom), degrees, (x, y))
