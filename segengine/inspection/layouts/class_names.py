"""Class names from files beside the masks: labelmap.txt, _classes.csv, class_dict.csv, dataset.json, data.yaml and others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from segengine.data.sources.lists import read_table
from segengine.inspection.layouts.tree import Tree

Colour = tuple[int, int, int]
_LARGEST = 4_000_000
_MOST_FILES = 40
NAME_FILES = {
    "classes.txt",
    "labels.txt",
    "class_names.txt",
    "classnames.txt",
    "obj.names",
    "predefined_classes.txt",
    "names.txt",
}


@dataclass(frozen=True)
class Names:
    """Class names in a file: by value, by colour, or in order; `ignore` are values that are not classes."""

    file: str
    values: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[Colour, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


def find_names(tree: Tree) -> list[Names]:
    """All class names found, files nearest to the root first."""
    found: list[Names] = []
    for parts in sorted(tree.texts, key=lambda p: (len(p), p)):
        reader = _reader(parts[-1].lower())
        path = tree.path(parts)
        if reader is None or len(found) >= _MOST_FILES:
            continue
        try:
            if path.stat().st_size > _LARGEST:
                continue
            names = reader(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError, RecursionError):
            continue  # a text of that name about something else
        if names is not None and (names.values or names.colours or names.order):
            found.append(Names("/".join(parts), names.values, names.colours, names.order, names.channels))
    return found


def _reader(name: str) -> Callable[[Path], Names | None] | None:
    if name.endswith((".json",)):
        return _json
    if name in ("data.yaml", "data.yml", "dataset.yaml", "classes.yaml") or name.endswith((".yaml", ".yml")):
        return _yaml
    if name.endswith((".csv", ".tsv")):
        return _table
    if name.endswith(".ctbl"):
        return _slicer_table
    if (
        name.endswith((".label", ".lbl"))
        or (name.endswith(".txt") and "label" in name)
        or name in ("objectinfo150.txt", *NAME_FILES)
    ):
        return _text
    return None


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]


def _text(path: Path) -> Names | None:
    lines = _lines(path)
    for read in (_labelmap, _itk_snap, _colour_first, _object_info):
        names = read(lines)
        if names is not None:
            return names
    if path.name.lower() in NAME_FILES and 2 <= len(lines) <= 254 and len(set(lines)) == len(lines):
        numbered = [re.fullmatch(r"(\d+)[:,\s]+(.+)", line) for line in lines]
        if all(numbered):
            return Names("", values={int(m[1]): m[2].strip() for m in numbered if m})
        return Names("", order=tuple(re.sub(r'^"(.*)"$', r"\1", line) for line in lines))
    return None


def _labelmap(lines: Sequence[str]) -> Names | None:
    """CVAT's `label:color_rgb:parts:actions`."""
    rows = [re.fullmatch(r"([^:#][^:]*):(\d+),(\d+),(\d+):.*", line) for line in lines if not line.startswith("#")]
    return Names("", colours={_colour(m[2], m[3], m[4]): m[1] for m in rows if m}) if rows and all(rows) else None


def _itk_snap(lines: Sequence[str]) -> Names | None:
    """ITK-SNAP's label descriptions: index, red, green, blue, alpha, visible, mesh, "name"."""
    rows = [re.fullmatch(r'(\d+)((?:\s+[\d.]+){6})\s+"(.*)"', line) for line in lines if not line.startswith("#")]
    if not rows or not all(rows):
        return None
    return Names("", values={int(m[1]): m[3] if m[3] != "Clear Label" else "background" for m in rows if m})


def _colour_first(lines: Sequence[str]) -> Names | None:
    """CamVid's label_colors.txt: red green blue name."""
    rows = [re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+([^\d].*)", line) for line in lines]
    return (
        Names("", colours={_colour(m[1], m[2], m[3]): m[4].strip() for m in rows if m}) if rows and all(rows) else None
    )


def _object_info(lines: Sequence[str]) -> Names | None:
    """ADE20K's objectInfo150.txt: Idx, Ratio, Train, Val, Stuff?, Name."""
    if not lines or not lines[0].lower().startswith("idx"):
        return None
    rows = [line.split("\t") if "\t" in line else re.split(r"\s{2,}", line) for line in lines[1:]]
    return Names("", values={int(row[0]): re.split(r"[,;]", row[-1])[0].strip() for row in rows})


def _slicer_table(path: Path) -> Names | None:
    """3D Slicer's colour table: index name red green blue alpha."""
    rows = [line.split() for line in _lines(path) if not line.startswith("#")]
    return Names("", values={int(row[0]): row[1].replace("_", " ") for row in rows if len(row) >= 6})


def _table(path: Path) -> Names | None:
    rows = read_table(path)
    if not 2 <= len(rows) <= 1000:
        return None
    columns = {column.strip().lower(): column for column in rows[0]}
    name = next(
        (columns[c] for c in ("name", "class", "class name", "class_name", "label", "category") if c in columns), None
    )
    if name is None:
        return None
    colour = next(
        (
            [columns[c] for c in three]
            for three in (("r", "g", "b"), ("red", "green", "blue"))
            if set(three) <= columns.keys()
        ),
        None,
    )
    if colour is not None:
        red, green, blue = colour
        return Names("", colours={_colour(row[red], row[green], row[blue]): row[name].strip() for row in rows})
    words = (
        "pixel value",
        "pixel_value",
        "value",
        "id",
        "index",
        "class_id",
        "label_id",
        "gray",
        "grayscale",
        "trainid",
    )
    value = next((columns[c] for c in words if c in columns), None)
    return Names("", values={int(row[value]): row[name].strip() for row in rows}) if value is not None else None


def _json(path: Path) -> Names | None:
    document = json.loads(path.read_text("utf-8-sig"))
    if isinstance(document, list):
        return _listed(document)
    if not isinstance(document, dict):
        return None
    labels = document.get("labels", document.get("classes", document.get("categories")))
    if isinstance(labels, list):
        return _listed(labels)
    if isinstance(labels, dict):
        channels = document.get("channel_names", document.get("modality", {}))
        order = tuple(str(v) for v in channels.values()) if isinstance(channels, dict) else ()
        return Names("", values=_by_value(labels), channels=order)
    flat = {k: v for k, v in document.items() if isinstance(v, int | str)}
    looks_like_it = len(flat) == len(document) >= 2 and re.search(r"label|class|categor|id2", path.name, re.IGNORECASE)
    return Names("", values=_by_value(flat)) if looks_like_it else None


def _by_value(labels: Mapping[str, Any]) -> dict[int, str]:
    """{name: value} or {value: name}; values that are lists (regions of several values) are omitted."""
    if all(str(key).isdecimal() for key in labels):
        return {int(key): str(name) for key, name in labels.items()}
    return {int(value): str(name) for name, value in labels.items() if isinstance(value, int) or str(value).isdecimal()}


def _listed(entries: Sequence[Any]) -> Names | None:
    if entries and all(isinstance(e, str) for e in entries):
        return Names("", order=tuple(entries))
    rows = [e for e in entries if isinstance(e, dict)]
    names = [str(e.get("readable", e.get("name", e.get("label", "")))) for e in rows]
    if not rows or len(rows) < len(entries) or not all(names):
        return None
    colours = {}
    for e, name in zip(rows, names, strict=True):
        colour = _any_colour(e.get("color", e.get("colour")))
        if colour is not None:
            colours[colour] = name
    values = {int(e["id"]): name for e, name in zip(rows, names, strict=True) if str(e.get("id", "")).isdecimal()}
    return Names("", values=values, colours=colours, order=() if values else tuple(names))


def _any_colour(value: Any) -> Colour | None:
    if isinstance(value, list) and len(value) >= 3 and all(isinstance(v, int) for v in value[:3]):
        return _colour(*value[:3])
    match = re.fullmatch(r"#?([0-9A-Fa-f]{6})", value) if isinstance(value, str) else None
    return _colour(*bytes.fromhex(match[1])) if match else None


def _yaml(path: Path) -> Names | None:
    document = yaml.safe_load(path.read_text("utf-8-sig"))
    names = document.get("names", document.get("classes")) if isinstance(document, dict) else None
    if isinstance(names, dict):
        return Names("", values={int(key): str(name) for key, name in names.items()})
    return Names("", order=tuple(map(str, names))) if isinstance(names, list) else None


def _colour(red: Any, green: Any, blue: Any) -> Colour:
    colour = int(red), int(green), int(blue)
    if not all(0 <= part <= 255 for part in colour):
        raise ValueError(f"no colour: {colour}")
    return colour
