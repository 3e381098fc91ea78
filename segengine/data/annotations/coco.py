"""COCO: one JSON with images, annotations and categories (Lin et al., 2014; https://cocodataset.org/#format-data)."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from segengine.data.annotations.documents import as_list, as_table, declared_size, read_json
from segengine.data.annotations.run_lengths import coco_runs
from segengine.data.annotations.shapes import MIN_COORDINATES, AnnotatedImage, Annotations, Shape, flat_points
from segengine.errors import DataError


def add_coco(path: Path, split: str | None, found: Annotations) -> None:
    """Add the images of a file to `found`; classes in the order of the categories' ids.

    Raises:
        DataError: not in COCO's format; names the annotation.
    """
    document = as_table(read_json(path), "the document", str(path))
    lacking = [key for key in ("images", "annotations", "categories") if key not in document]
    if lacking:
        raise DataError(
            f"{path}: has no {', '.join(lacking)}; give a file with COCO's instances (polygons or run lengths)"
        )
    names = _categories(document, path)
    shapes: dict[Any, list[Shape]] = defaultdict(list)
    used: set[Any] = set()
    for entry in as_list(document["annotations"], "annotations", str(path)):
        annotation = as_table(entry, "an annotation", str(path))
        where = f"{path}: annotation {annotation.get('id')}"
        if "segments_info" in annotation:
            raise DataError(
                f"{path}: is COCO's panoptic format; give the file with instances, or the masks with {{object}}"
            )
        category = _key(annotation.get("category_id"))
        if category not in names:
            raise DataError(f"{where}: category {category} is not among the categories; export the annotations again")
        used.add(category)
        shape = _shape(annotation, names[category], where)
        if shape is None:
            found.skip("annotation without polygon or run lengths")
        else:
            shapes[_key(annotation.get("image_id"))].append(shape)
    parents = {entry.get("supercategory") for entry in document["categories"] if isinstance(entry, dict)}
    # Roboflow lists the set's name as a category of its own, above all others and without annotations.
    found.add_labels(name for category, name in names.items() if category in used or name not in parents)
    for entry in as_list(document["images"], "images", str(path)):
        image = as_table(entry, "an image", str(path))
        name, number = image.get("file_name"), _key(image.get("id"))
        if not isinstance(name, str) or not name:
            raise DataError(f"{path}: image {number} has no file_name; export the annotations again")
        size = declared_size(image.get("height"), image.get("width"))
        own = tuple(shapes.pop(number, ()))
        found.images.append(AnnotatedImage((name,), f"{path}: image {number}", path.parent, size, own, split))
    if shapes:
        raise DataError(f"{path}: annotations name the image {next(iter(shapes))}, which is not among the images")


def _key(value: Any) -> Any:
    return str(value) if isinstance(value, list | dict) else value


def _categories(document: dict[str, Any], path: Path) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for entry in as_list(document["categories"], "categories", str(path)):
        category = as_table(entry, "a category", str(path))
        number, name = _key(category.get("id")), category.get("name")
        if not isinstance(number, int | str) or not isinstance(name, str):
            raise DataError(f"{path}: a category has no id or no name; export the annotations again")
        names[number] = name
    return dict(sorted(names.items(), key=lambda item: (isinstance(item[0], str), item[0])))


def _shape(annotation: dict[str, Any], label: str, where: str) -> Shape | None:
    """The annotation's shape; None for a box or keypoints alone."""
    crowd = bool(annotation.get("iscrowd"))
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return Shape(label, runs=coco_runs(segmentation, where), crowd=crowd)
    if not isinstance(segmentation, list):
        return None
    if segmentation and not any(isinstance(part, list) for part in segmentation):
        segmentation = [segmentation]  # one polygon that is not in a list, as some tools write
    parts = [flat_points(as_list(part, "a polygon", where), where) for part in segmentation]
    polygons = tuple(points for points in parts if len(points) >= MIN_COORDINATES)
    return Shape(label, polygons, crowd=crowd) if polygons else None
