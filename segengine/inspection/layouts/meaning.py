"""Meaning of mask values: mask mapper, class names, ignored values and repairs, with reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from segengine.data.files.reading import NODATA_RAW
from segengine.data.masks.diagnosis import Diagnosis, spoken
from segengine.data.masks.facts import has_missing
from segengine.data.masks.mapping import MOST_CLASSES, MaskSurvey, Raw
from segengine.data.sources.records import listed
from segengine.errors import DataError
from segengine.inspection.layouts.class_names import Names
from segengine.inspection.layouts.known import Known

_VOID_NAMES = {
    "void",
    "unlabelled",
    "unlabeled",
    "ignore",
    "ignored",
    "undefined",
    "no-data",
    "nodata",
    "unclassified",
    "__ignore__",
}
_PLAIN_COLOURS = {
    (0, 0, 0): "background", (255, 255, 255): "white", (255, 0, 0): "red", (0, 255, 0): "green", (0, 0, 255): "blue",
    (255, 255, 0): "yellow", (255, 0, 255): "magenta", (0, 255, 255): "cyan", (128, 0, 0): "dark red", (0, 128, 0): "dark green",
    (0, 0, 128): "dark blue", (128, 128, 128): "gray",
}  # fmt: skip


@dataclass(frozen=True)
class Meaning:
    """`mapper` as in a spec; `classes` in order (None if the mapper names them); `raws` and `shares` of pixels by class.

    `notes` are printed, and written as comments.
    """

    mapper: Mapping[str, Any]
    classes: tuple[str, ...]
    raws: tuple[Raw, ...]
    named_by_mapper: bool = False
    notes: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)


def interpret(
    survey: MaskSurvey,
    diagnosis: Diagnosis,
    names: Sequence[Names],
    known: Sequence[Known],
    *,
    parts: str = "",
    order: Sequence[str] = (),
) -> Meaning:
    """Interpret the values found in the masks.

    Args:
        survey: survey of all masks.
        diagnosis: diagnosis of their values.
        names: class names from files beside the masks.
        known: matching published layouts.
        parts: "class" or "object" if several files per image are merged.
        order: the classes of merged files.

    Raises:
        DataError: the masks have a single value, or are images.
    """
    things = next((k.foreground for k in known if k.foreground), "")
    if parts:
        fg = tuple(order) if parts == "class" else (things or "object",)
        classes = _distinct(("background", *fg))
        return _with_shares(survey, Meaning({"name": "index"}, classes, tuple(range(len(classes)))))
    if survey.encoding.kind == "rgb":
        return _with_shares(survey, _of_colours(survey, diagnosis, names, known))
    table, source = _table(survey, diagnosis, names, known)
    if diagnosis.kind == "one value":
        raise DataError(f"{survey.folder}: {diagnosis.message}")
    if not table and diagnosis.kind == "numbered objects":
        classes = ("background", things or "object")
        note = (
            f"{diagnosis.message.partition(':')[0]}: instance numbers, not classes; all of them are mapped to one class"
        )
        return _with_shares(survey, Meaning({"name": "foreground"}, classes, (0, 1), notes=(note,)))
    if not table and diagnosis.kind == "picture":
        raise DataError(f"{survey.folder}: {diagnosis.message}")
    return _with_shares(survey, _of_numbers(survey, diagnosis, (table, source), known, things))


def drawn_classes(survey: MaskSurvey, labels: Sequence[str]) -> Meaning:
    """The meaning of masks that a source draws from annotations: 0 is the background, then the labels.

    Raises:
        DataError: more classes than a network here learns.
    """
    classes = _distinct(("background", *labels))
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"{survey.folder}: the annotations have {len(labels):,} labels, and at most {MOST_CLASSES} classes can be learnt; an "
            "experiment written by hand can join or leave out classes by merge and drop (docs/data.md)"
        )
    return _with_shares(survey, Meaning({"name": "palette", "ignore": [255]}, classes, tuple(range(len(classes)))))


def _of_numbers(
    survey: MaskSurvey,
    diagnosis: Diagnosis,
    named_by: tuple[Mapping[int, str], str],
    known: Sequence[Known],
    things: str,
) -> Meaning:
    table, source = named_by
    notes = []
    found = [v for v in survey.values if isinstance(v, int)]
    ignored = _ignored(found, diagnosis, table, known) | ({NODATA_RAW} if has_missing(survey.masks) else set())
    if table:
        named = {v: name for v, name in sorted(table.items()) if v not in ignored}
        if 0 in found and 0 not in named and 0 not in ignored:
            named = {0: "background", **named}
        values, classes = list(named), _distinct(tuple(named.values()))
        notes.append(f"class names are from {source}")
        dirty = any(v not in named and v not in ignored for v in found)
    else:
        meant = diagnosis.values or tuple(found)
        values = [v for v in meant if isinstance(v, int) and v not in ignored]
        classes = _unnamed(values, things)
        dirty = not diagnosis.usable
    mapper = _number_mapper(survey, values, dirty=dirty)
    if ignored:
        mapper["ignore"] = sorted(ignored)
    if dirty:
        mapper["repair"] = "nearest"
        notes.append("repair: nearest maps all other values to the nearest of these")
    return Meaning(mapper, classes, tuple(values), notes=tuple(notes))


def _number_mapper(survey: MaskSurvey, values: Sequence[int], *, dirty: bool) -> dict[str, Any]:
    from_zero = list(values) == list(range(len(values)))
    if survey.encoding.kind == "palette" and from_zero and not dirty:
        return {"name": "palette"}
    if from_zero and not dirty and len(values) > 2:
        return {"name": "index"}
    return {"name": "gray-index", "values": list(values)}


def _ignored(found: Sequence[int], diagnosis: Diagnosis, table: Mapping[int, str], known: Sequence[Known]) -> set[int]:
    ignored = {v for v, name in table.items() if name.strip().lower() in _VOID_NAMES}
    ignored |= {255} if diagnosis.kind == "void border" else set()
    for layout in known:
        ours = not table or table is layout.values or not layout.values
        ignored |= {v for v in layout.ignore if ours and v in found and (v not in table or table is layout.values)}
        if layout.ignore_rest and table is layout.values:
            ignored |= {v for v in range(34) if v not in table} | {v for v in found if v not in table}
    if table and 255 in found and 255 not in table:
        ignored.add(255)
    return ignored


def _table(
    survey: MaskSurvey, diagnosis: Diagnosis, names: Sequence[Names], known: Sequence[Known]
) -> tuple[Mapping[int, str], str]:
    """Value -> name, from files beside the masks or a published layout that covers the values found; and its source."""
    found = {v for v in (diagnosis.values or survey.values) if isinstance(v, int)} - {255}
    for of in names:
        table = dict(of.values)
        if not table and of.order:
            table = _in_order(of.order, sorted(found))
        if not table and of.colours and survey.encoding.palette:
            palette = survey.encoding.palette
            table = {v: of.colours[palette[v]] for v in sorted(found) if v < len(palette) and palette[v] in of.colours}
        if table and found <= table.keys() | {0} and len(table) <= MOST_CLASSES:
            return table, of.file
    for layout in known:
        rest = found - layout.values.keys() - set(layout.ignore)
        fits = not rest or (layout.ignore_rest and len(found & layout.values.keys()) >= 1 and max(found) < 34)
        if layout.values and fits and len(found & layout.values.keys()) >= 1:
            return layout.values, layout.title
    return {}, ""


def _in_order(order: Sequence[str], found: Sequence[int]) -> dict[int, str]:
    """Names without numbers: by index if values are indices; by rank if their number is equal; the first may be missing."""
    if found and max(found) < len(order):
        return dict(enumerate(order))
    if len(order) == len(found):
        return dict(zip(found, order, strict=True))
    if found and found[0] == 0 and max(found) == len(order):
        return {0: "background", **{i + 1: name for i, name in enumerate(order)}}
    if found and found[0] == 0 and len(order) == len(found) - 1:
        return {0: "background", **dict(zip(found[1:], order, strict=True))}
    return {}


def _of_colours(survey: MaskSurvey, diagnosis: Diagnosis, names: Sequence[Names], known: Sequence[Known]) -> Meaning:
    meant = [v for v in (diagnosis.values or tuple(survey.values)) if isinstance(v, tuple)]
    tables = [(dict(n.colours), n.file) for n in names if n.colours]
    tables += [({c: name for name, c in k.colours.items()}, k.title) for k in known if k.colours]
    best = max(tables, key=lambda t: sum(v in t[0] for v in meant), default=({}, ""))
    covered = sum(v in best[0] for v in meant)
    notes = []
    if best[0] and covered >= 0.6 * len(meant) and covered >= 1:
        ignored = [c for c, name in best[0].items() if name.strip().lower() in _VOID_NAMES]
        colours = {name: c for c, name in best[0].items() if c not in ignored}
        if (0, 0, 0) in meant and (0, 0, 0) not in best[0]:
            colours = {"background": (0, 0, 0), **colours}
        notes.append(f"class names are from {best[1]}")
        dirty = any(v not in best[0] and v != (0, 0, 0) for v in survey.values)
    else:
        if not meant or len(meant) > MOST_CLASSES or diagnosis.kind == "picture":
            raise DataError(f"{survey.folder}: {diagnosis.message}")
        ignored = []
        plain = [_PLAIN_COLOURS.get(c, f"class{i}") for i, c in enumerate(meant)]
        colours = dict(zip(_distinct(tuple(plain)), meant, strict=True))
        dirty = not diagnosis.usable
    mapper: dict[str, Any] = {"name": "rgb", "colours": {name: list(c) for name, c in colours.items()}}
    if ignored:
        mapper["ignore"] = [list(c) for c in ignored]
    if dirty:
        mapper["repair"] = "nearest"
        notes.append("repair: nearest maps all other colours to the nearest of these")
    return Meaning(mapper, tuple(colours), tuple(colours.values()), named_by_mapper=True, notes=tuple(notes))


def _unnamed(values: Sequence[int], things: str) -> tuple[str, ...]:
    if len(values) == 2 and values[0] == 0:
        return "background", things or "foreground"
    return tuple("background" if i == 0 and v == 0 else f"class{i}" for i, v in enumerate(values))


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, made non-empty and unique."""
    seen: list[str] = []
    for i, name in enumerate(names):
        plain = " ".join(name.split()) or f"class{i}"
        seen.append(plain if plain not in seen else f"{plain} {i}")
    return tuple(seen)


def _with_shares(survey: MaskSurvey, meaning: Meaning) -> Meaning:
    counted = {raw: survey.values[raw].pixels for raw in meaning.raws if raw in survey.values}
    if meaning.mapper["name"] == "foreground":
        background = survey.values[0].pixels if 0 in survey.values else 0
        counted = {0: background, 1: survey.pixels - background}
    total = max(1, sum(counted.values()))
    shares = {name: counted.get(raw, 0) / total for name, raw in zip(meaning.classes, meaning.raws, strict=True)}
    return replace(meaning, shares=shares)


def sided(names: Sequence[str]) -> list[str]:
    """Class names that contain left or right."""
    return [n for n in names if re.search(r"(?i)(^|[^a-z])(left|right|links|rechts|sinister|dexter|[lr])([^a-z]|$)", n)]


def values_in_words(meaning: Meaning) -> str:
    """The classes with their values in the masks, as text."""
    return listed([f"{spoken(raw)} {name}" for raw, name in zip(meaning.raws, meaning.classes, strict=True)], 30)
