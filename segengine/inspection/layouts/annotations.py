"""Recognises annotation files (polygons, boxes, run lengths) by their contents, and names those that no source reads."""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segengine.data.sources.lists import read_table
from segengine.errors import counted
from segengine.inspection.layouts.tree import Parts, Tree

_SAMPLED = 30
_START = 400_000
_DRAW = "draw them as mask images first (PNG, one value per class)"


SOURCES = ("coco", "cvat", "label-studio", "labelme", "yolo")
"""Sources that rasterise annotations, the most specific first."""


@dataclass(frozen=True)
class AnnotationFile:
    """An annotation file: a sentence on `what` it is, and the name of the `source` that reads it, '' for none."""

    parts: Parts
    what: str
    source: str = ""


def annotation_files(tree: Tree) -> list[AnnotationFile]:
    """Annotation files of a folder; of many files in one folder, only the first are looked at."""
    found = []
    tried: dict[tuple[Parts, str], int] = {}
    for parts in tree.texts:
        suffix = parts[-1].rpartition(".")[2].lower()
        place = (parts[:-1], suffix)
        tried[place] = tried.get(place, 0) + 1
        what, source = _kind(tree.path(parts), suffix) if tried[place] <= _SAMPLED else ("", "")
        if what:
            found.append(AnnotationFile(parts, what, source))
    return found


def annotation_words(tree: Tree, files: Sequence[AnnotationFile]) -> list[str]:
    """One sentence per kind of annotation: what it is, where, and what is missing."""
    seen: dict[str, list[Parts]] = {}
    for file in files:
        seen.setdefault(file.what, []).append(file.parts)
    brushed = [p for p in tree.pictures if re.search(r"task-\d+-annotation-\d+-by-\d+-tag-", p[-1])]
    sentences = []
    for kind, parts in seen.items():
        where = "/".join(parts[0])
        several = f" and {counted(len(parts) - 1, 'more file')}" if len(parts) > 1 else ""
        sentences.append(f"{where}{several}: {kind}")
    if brushed:
        sentences.append(
            f"{'/'.join(brushed[0])} and {counted(len(brushed) - 1, 'more file')}: brush masks of Label Studio, whose names hold a task's "
            "number and not the image's name; export the project as JSON, which init reads"
        )
    return sentences


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_START)


def _kind(path: Path, suffix: str) -> tuple[str, str]:
    readers: dict[str, Callable[[Path], tuple[str, str]]] = {
        "json": _json,
        "xml": _xml,
        "txt": _yolo,
        "csv": _run_lengths,
    }
    reader = readers.get(suffix)
    if reader is None:
        return "", ""
    try:
        return reader(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", ""


def _json(path: Path) -> tuple[str, str]:
    if path.stat().st_size > 50 * _START:
        return ("annotations in COCO format", "coco") if _holds(path, b'"categories"', b'"segmentation"') else ("", "")
    document = json.loads(path.read_text("utf-8-sig"))
    if isinstance(document, list):
        first: Any = document[0] if document else {}
        if isinstance(first, dict) and "data" in first and ("annotations" in first or "completions" in first):
            return "annotations of Label Studio in JSON", "label-studio"
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    if {"images", "annotations", "categories"} <= document.keys():
        numbers = [counted(len(document[key]), word, plural) for key, word, plural in
                   (("images", "image", ""), ("annotations", "annotation", ""), ("categories", "category", "categories"))]  # fmt: skip
        return f"annotations in COCO format ({', '.join(numbers)})", "coco"
    if "shapes" in document and "imagePath" in document:
        return "polygons of labelme", "labelme"
    if document.get("type") == "FeatureCollection":
        return f"polygons in GeoJSON; {_DRAW}, for example by gdal_rasterize", ""
    if "objects" in document and any("classTitle" in o for o in document["objects"] if isinstance(o, dict)):
        return f"annotations of Supervisely; {_DRAW}", ""
    via = document.get("_via_img_metadata", document)
    if isinstance(via, dict) and any(isinstance(v, dict) and "regions" in v and "filename" in v for v in via.values()):
        return f"polygons of the VGG Image Annotator; {_DRAW}", ""
    return "", ""


def _holds(path: Path, *words: bytes) -> bool:
    """Whether a large file holds all words; COCO's own files have the categories at the end."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return all(content.find(word) >= 0 for word in words)


def _xml(path: Path) -> tuple[str, str]:
    text = _start(path)
    if b"<annotations" in text and b"<image" in text:
        return "annotations of CVAT for images", "cvat"
    if b"<annotations" in text and b"<track" in text:
        return "annotations of CVAT for video; export them as 'CVAT for images 1.1'", ""
    if b"<annotation" in text and b"<bndbox" in text:
        return "boxes in PASCAL VOC's XML, which say nothing about single pixels; masks are needed", ""
    return "", ""


def _yolo(path: Path) -> tuple[str, str]:
    lines = [line.split() for line in path.read_text("utf-8-sig").splitlines()[:20] if line.strip()]
    number = re.compile(r"[01]?\.\d+(e-?\d+)?|[01]")
    numbers = bool(lines) and all(row[0].isdecimal() and all(map(number.fullmatch, row[1:])) for row in lines)
    if numbers and all(len(row) >= 7 and len(row) % 2 for row in lines):
        return "polygons in YOLO format", "yolo"
    if numbers and all(len(row) == 5 for row in lines):
        return "boxes in YOLO format, which say nothing about single pixels; masks are needed", ""
    return "", ""


def _run_lengths(path: Path) -> tuple[str, str]:
    with path.open("rb") as file:
        header = file.readline(4096).lower()
    if b"encodedpixels" in header or b"rle" in header:
        return f"masks as run lengths in a CSV; {_DRAW}", ""
    rows = read_table(path) if b"region_shape_attributes" in header else []
    return (f"polygons of the VGG Image Annotator; {_DRAW}", "") if rows else ("", "")
