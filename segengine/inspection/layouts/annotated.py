"""Annotations as masks: the source, its settings and its classes, from the annotation files of a folder."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segengine.components.lookup import component_class
from segengine.data.sources.patterns import literal
from segengine.data.sources.records import listed
from segengine.errors import DataError, counted
from segengine.inspection.layouts.annotations import SOURCES, AnnotationFile
from segengine.inspection.layouts.class_names import NAME_FILES
from segengine.inspection.layouts.families import escaped
from segengine.inspection.layouts.names import split_of
from segengine.inspection.layouts.tree import Parts, Tree

_INSTANCES = re.compile(r"(?i)instance|segm")


@dataclass(frozen=True)
class Annotated:
    """Settings of the source (without root), the classes in the order of the values 1, 2 ..., evidence and notes."""

    source: Mapping[str, Any]
    labels: tuple[str, ...]
    evidence: str
    notes: tuple[str, ...] = field(default=())


def annotated_source(tree: Tree, files: Sequence[AnnotationFile], images: str | None) -> Annotated | None:
    """The source for the annotations of a folder; None if there are none that can be rasterised.

    `images` is the pattern of the images if it was given.

    Raises:
        DataError: annotations that can't be used; says why.
    """
    problem: DataError | None = None
    for kind, parts, settings, notes in _candidates(tree, files):
        try:
            return _tried(tree, kind, parts, settings | ({"images": images} if images else {}), notes)
        except DataError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return None


def _candidates(
    tree: Tree, files: Sequence[AnnotationFile]
) -> Iterator[tuple[str, list[Parts], dict[str, Any], list[str]]]:
    """(source, its files, settings, notes), the likeliest first."""
    by_kind: dict[str, list[Parts]] = defaultdict(list)
    for file in files:
        if file.source:
            by_kind[file.source].append(file.parts)
    for kind in sorted(by_kind, key=lambda kind: (SOURCES.index(kind), kind)):
        if kind == "yolo":
            yield from ((kind, by_kind[kind], settings, []) for settings in _yolo_settings(tree, by_kind[kind]))
        elif kind == "labelme":
            yield kind, by_kind[kind], {"annotations": _one_pattern(by_kind[kind])}, []
        else:
            patterns = _by_pattern(by_kind[kind])
            names = {parts[-1] for parts in by_kind[kind]}
            if len(patterns) > 1 and len(names) == 1:  # one file per job or folder
                yield kind, by_kind[kind], {"annotations": f"**/{literal(names.pop())}"}, []
            order = sorted(patterns, key=lambda p: (not _INSTANCES.search(p), -len(patterns[p]), p))
            for pattern in order:
                others = [p for p in order if p != pattern]
                notes = [f"of several annotation files {pattern} is used, not {listed(others, 3)}"] if others else []
                yield kind, patterns[pattern], {"annotations": pattern}, notes


def _tried(tree: Tree, kind: str, parts: Sequence[Parts], settings: dict[str, Any], notes: Sequence[str]) -> Annotated:
    """Settings with which the source lists its images. Raises DataError."""
    cls: Any = component_class("sources", kind)
    said = [*notes]
    source: dict[str, Any] = {"name": kind, **settings}
    root = tree.root.absolute()
    try:
        cls.model_validate({**source, "root": root}).build()
    except DataError as error:
        if "missing: skip" not in str(error):
            raise
        source["missing"] = "skip"
        said.append(str(error).partition(";")[0].removeprefix(f"{root}: ") + "; left out")
        cls.model_validate({**source, "root": root}).build()
    labels = cls.model_validate({**source, "root": root}).class_labels()
    if kind in ("labelme", "label-studio"):
        source["labels"] = list(labels)  # these files have no list of classes: a new label would renumber the others
    where = "/".join(parts[0]) + (f" and {counted(len(parts) - 1, 'more file')}" if len(parts) > 1 else "")
    return Annotated(
        source, labels, f"{where}: annotations of {_TITLES[kind]}, rasterised when they are read", tuple(said)
    )


_TITLES = {"coco": "COCO", "labelme": "labelme", "yolo": "YOLO", "cvat": "CVAT", "label-studio": "Label Studio"}


def _with_split(parts: Parts) -> tuple[str, str | None]:
    """The path as a pattern, with `{split}` for the first name that says which split it is of."""
    pieces: list[str] = []
    split: str | None = None
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        stem, dot, suffix = part.partition(".") if last else (part, "", "")
        spoken = split_of(stem) if split is None else None
        if spoken is None:
            pieces.append(literal(part))
        else:
            split = spoken[1]
            pieces.append(escaped(spoken[0]) + literal(dot + suffix))
    return "/".join(pieces), split


def _by_pattern(files: Sequence[Parts]) -> dict[str, list[Parts]]:
    """Files by the pattern that they share; `{split}` only where files of several splits share it, or one of them is train."""
    found: dict[str, list[tuple[Parts, str | None]]] = defaultdict(list)
    for parts in files:
        pattern, split = _with_split(parts)
        found[pattern].append((parts, split))
    patterns: dict[str, list[Parts]] = {}
    for pattern, members in found.items():
        names = [parts for parts, _ in members]
        alone = {split for _, split in members} in ({"test"}, {"validation"})
        patterns["/".join(literal(part) for part in names[0]) if alone else pattern] = names
    return patterns


def _one_pattern(files: Sequence[Parts]) -> str:
    """The pattern of JSON files of single images."""
    folders = {parts[:-1] for parts in files}
    if len(folders) == 1:
        return "/".join([*(literal(part) for part in next(iter(folders))), "*.json"])
    patterns = {_with_split((*folder, "x"))[0].rpartition("/")[0] for folder in folders}
    return f"{patterns.pop()}/*.json" if len(patterns) == 1 else "**/*.json"


def _yolo_settings(tree: Tree, texts: Sequence[Parts]) -> Iterator[dict[str, Any]]:
    """Settings of YOLO: the file with the class names, and the images' pattern where it is clear from the folders."""
    names = sorted((p for p in tree.texts if _names_classes(p)), key=lambda p: (len(p), not _is_yaml(p), p))
    if not names:
        raise DataError(
            f"{tree.root}: {'/'.join(texts[0])} holds polygons in YOLO format, but no file names the classes; add a data.yaml with "
            "names: [...] in the order of the class numbers"
        )
    labelled = {parts[:-1] for parts in texts}
    patterns: dict[str, set[str | None]] = defaultdict(set)
    all_splits: dict[str, set[str | None]] = defaultdict(set)
    for folder in {parts[:-1] for parts in tree.pictures}:
        pattern, split = _with_split((*folder, "x"))
        pattern = f"{pattern[:-1]}*"
        all_splits[pattern].add(split)
        if folder in labelled or _label_folder(folder) in labelled:
            patterns[pattern].add(split)
    for name in names:
        if len(patterns) == 1:
            images, splits = next(iter(patterns.items()))
            settings: dict[str, Any] = {"annotations": "/".join(name), "images": images}
            if all_splits[images] > splits:  # images of a split without any text file, such as test, have no truth
                settings["splits"] = sorted(s for s in splits if s is not None)
            yield settings
        if _is_yaml(name):
            yield {"annotations": "/".join(name)}


def _label_folder(folder: Parts) -> Parts:
    for i in reversed(range(len(folder))):
        if folder[i].lower() == "images":
            return (*folder[:i], "labels", *folder[i + 1 :])
    return folder


def _is_yaml(parts: Parts) -> bool:
    return parts[-1].lower().endswith((".yaml", ".yml"))


def _names_classes(parts: Parts) -> bool:
    return _is_yaml(parts) or parts[-1].lower() in NAME_FILES
