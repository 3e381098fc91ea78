"""Detection of all data settings of an experiment from a folder; raises UndecidedError if the user must decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segengine.components.base import Source
from segengine.components.lookup import component_class
from segengine.data.sources.patterns import find
from segengine.data.sources.records import Record, Records
from segengine.errors import DataError, counted
from segengine.events import Listener
from segengine.inspection.inspect import Inspection, inspect_records
from segengine.inspection.layouts import divide
from segengine.inspection.layouts.annotated import Annotated, annotated_source
from segengine.inspection.layouts.annotations import annotation_files, annotation_words
from segengine.inspection.layouts.choose import choose, settings
from segengine.inspection.layouts.class_names import Names, find_names
from segengine.inspection.layouts.families import find_families
from segengine.inspection.layouts.hypotheses import Hypothesis, search
from segengine.inspection.layouts.intensity import plan_window
from segengine.inspection.layouts.known import Known, recognised
from segengine.inspection.layouts.meaning import Meaning, drawn_classes, interpret
from segengine.inspection.layouts.question import UndecidedError, before_a_file, question
from segengine.inspection.layouts.tables import find_table
from segengine.inspection.layouts.tree import Tree, look_around

_FEW = 3
_LEAST_TILE = 32


@dataclass(frozen=True)
class Answers:
    """The user's answers: patterns of images and masks, and how to treat unpaired files and links outside of the folder."""

    images: str | None = None
    masks: str | None = None
    unpaired: str | None = None
    outside: str | None = None


@dataclass(frozen=True)
class Finding:
    """A detected layout: settings of the source, meaning of the masks, split, evidence and notes."""

    root: Path
    source: Mapping[str, Any]
    inspection: Inspection
    meaning: Meaning
    split: Mapping[str, Any]
    split_why: str
    evidence: tuple[str, ...]
    notes: tuple[str, ...]
    hypotheses: tuple[Hypothesis, ...] = ()
    annotated: Annotated | None = None
    window: Any = None
    window_why: str = ""

    @property
    def masks_are(self) -> str:
        """The diagnosis of the masks, without the advice, which the settings already follow."""
        if self.annotated is not None:
            return f"masks are rasterised from annotations: {counted(len(self.annotated.labels), 'class', 'classes')} and background"
        return self.inspection.diagnosis.message.partition("; write ")[0]


def understand(root: Path, listener: Listener, answers: Answers | None = None) -> Finding:
    """Detect the layout of a folder of images and masks; the folder is not changed.

    Raises:
        UndecidedError: no hypothesis, or several equally good ones; states them and the options that decide.
        DataError: files cannot be used without changes.
    """
    try:
        return _understood(root, listener, answers or Answers())
    except UndecidedError:
        raise
    except DataError as error:
        raise DataError(before_a_file(str(error))) from error


def _understood(root: Path, listener: Listener, answers: Answers) -> Finding:
    tree = look_around(root, outside=answers.outside == "allow")
    chosen = _source(tree, answers)
    source, hypothesis, notes = chosen.source, chosen.hypothesis, chosen.notes
    records = _records(root, source, notes)
    if hypothesis is not None and len(records) >= 6:
        grouped = _with_folder_groups(source, hypothesis, records, notes)
        if grouped is not source:
            source, records = grouped, _component(root, grouped).build()
    inspection = inspect_records(records, root, listener)
    _check_sizes(inspection)
    names = find_names(tree)
    meaning = _meaning(names, source, inspection, chosen.annotated, _example(records))
    source = {**source, **(_tiles(inspection, notes) if source["name"] == "folders" else {})}
    split, why = _split(source, inspection.records, chosen, notes)
    notes += inspection.mask_notes
    if chosen.annotated is not None:
        notes += [note for note in inspection.notes if note not in notes]
    elif hypothesis is None and source["name"] != "table":
        notes += annotation_words(tree, annotation_files(tree))
    if unread := tree.unread_words():
        notes.append(unread)
    return Finding(root, source, inspection, meaning, split, why, tuple(chosen.evidence), tuple(notes),
                   tuple(chosen.hypotheses), chosen.annotated, *_window(tree, source, inspection, names))  # fmt: skip


def _meaning(
    names: Sequence[Names], source: Mapping[str, Any], inspection: Inspection, annotated: Annotated | None, example: str
) -> Meaning:
    if annotated is not None:
        return drawn_classes(inspection.survey, annotated.labels)
    images, masks = str(source.get("images", "")), str(source.get("masks", ""))
    parts = "class" if "{class}" in masks else "object" if "{object}" in masks else ""
    known: list[Known] = recognised(images, masks, example)
    order = source.get("class_order", ())
    return interpret(inspection.survey, inspection.diagnosis, names, known, parts=parts, order=order)


@dataclass
class _Chosen:
    """Settings of the source, the hypothesis or the annotations behind them, evidence, notes, and all hypotheses."""

    source: dict[str, Any]
    evidence: list[str]
    hypothesis: Hypothesis | None = None
    annotated: Annotated | None = None
    notes: list[str] = field(default_factory=list)
    hypotheses: list[Hypothesis] = field(default_factory=list)


def _source(tree: Tree, answers: Answers) -> _Chosen:
    given = {k: v for k, v in (("images", answers.images), ("masks", answers.masks), ("unpaired", answers.unpaired),
                               ("outside", answers.outside)) if v is not None}  # fmt: skip
    if answers.images and answers.masks:
        return _Chosen({"name": "folders", **given}, ["the patterns were given"])
    hypotheses = search(tree, find_families(tree))
    choice = choose(tree, _as_answered(tree, hypotheses, answers))
    table = find_table(tree)
    taken = choice.taken
    if table is not None and (
        taken is None or taken.marks["images paired"] < 0.95 or taken.marks["masks paired"] < 0.5
    ):
        skip = {"unpaired": "skip"} if answers.unpaired == "skip" else {}
        return _Chosen({**table[0], **skip}, [table[1]], hypotheses=hypotheses)
    if taken is None:
        return _from_annotations(tree, choice.why, choice.rivals, hypotheses, answers)
    more, notes = settings(tree, taken)
    source: dict[str, Any] = {"name": "folders", "images": taken.images, "masks": taken.masks, **more, **given}
    if taken.matched.parts == "class":
        source["class_order"] = _class_values(tree, taken)
    if "{split}" not in taken.images and "{split}" not in taken.masks:
        lists = divide.split_lists(tree, taken)
        if lists is not None:
            source["lists"] = lists
            source.pop("unpaired", None)
            notes = [note for note in notes if "no mask" not in note]
    return _Chosen(source, list(taken.evidence), taken, None, [*choice.notes, *notes], hypotheses)


def _from_annotations(
    tree: Tree, why: str, rivals: Sequence[Hypothesis], hypotheses: list[Hypothesis], answers: Answers
) -> _Chosen:
    """The source that draws the annotations, where there are no masks; else the question."""
    files = annotation_files(tree)
    words = annotation_words(tree, files)
    if not any(r.marks["contents"] > 0.6 for r in rivals):
        try:
            annotated = annotated_source(tree, files, answers.images)
        except DataError as error:
            raise question(tree, why, rivals, words, problem=before_a_file(str(error))) from error
        if annotated is not None:
            source = {**annotated.source, **({"unpaired": "skip"} if answers.unpaired == "skip" else {})}
            return _Chosen(source, [annotated.evidence], None, annotated, list(annotated.notes), hypotheses)
    raise question(tree, why, rivals, words)


def _as_answered(tree: Tree, hypotheses: Sequence[Hypothesis], answers: Answers) -> list[Hypothesis]:
    """Hypotheses whose images or masks match the one pattern given by the user."""
    fitting = list(hypotheses)
    for pattern, masks in ((answers.images, False), (answers.masks, True)):
        if pattern is None:
            continue
        matches = find(tree.root, pattern, outside=answers.outside == "allow")
        allowed = {match.path.relative_to(tree.root).parts for match in matches}
        if not allowed:
            raise DataError(f"{tree.root}: no file matches '{pattern}'")
        fitting = [h for h in fitting if (h.mask_files if masks else h.image_files) <= allowed]
    return fitting


def _class_values(tree: Tree, hypothesis: Hypothesis) -> list[str]:
    return sorted({v for m in find(tree.root, hypothesis.masks) if (v := m.value("class")) is not None})


def _component(root: Path, source: Mapping[str, Any]) -> Source:
    cls: Any = component_class("sources", source["name"])
    made: Source = cls.model_validate({**source, "root": root.absolute()})
    return made


def _records(root: Path, source: dict[str, Any], notes: list[str]) -> list[Record]:
    try:
        return _component(root, source).build()
    except DataError as error:
        if "unpaired: skip" not in str(error) or source.get("unpaired") == "skip":
            raise
        source["unpaired"] = "skip"
        notes.append(
            str(error).partition(";")[0].removeprefix(f"{root}: ").removeprefix(f"{root.absolute()}: ") + "; left out"
        )
        return _component(root, source).build()


def _example(records: Sequence[Record]) -> str:
    return next((r.mask.as_posix() for r in records if r.mask is not None), "")


def _with_folder_groups(
    source: dict[str, Any], hypothesis: Hypothesis, records: Sequence[Record], notes: list[str]
) -> dict[str, Any]:
    grouped = divide.folder_group(hypothesis, records)
    if grouped is None:
        return source
    notes.append(grouped[2])
    return {**source, "images": grouped[0], "masks": grouped[1]}


def _tiles(inspection: Inspection, notes: list[str]) -> dict[str, int]:
    """The setting `tiles`, if there are too few images for separate training and validation images."""
    shortest = min(min(image.height, image.width) for image in inspection.images)
    if len(inspection.records) >= _FEW or any(r.split for r in inspection.records) or shortest < _LEAST_TILE * 2:
        return {}
    few = counted(len(inspection.records), "image")
    notes.append(
        f"{few}: too few for training, validation and test, so tiles are used; scores on parts of the same image are too optimistic"
    )
    return {"tiles": max(_LEAST_TILE, min(512, shortest // 2))}


def _window(tree: Tree, source: Mapping[str, Any], inspection: Inspection, names: Sequence[Names]) -> tuple[Any, str]:
    """`data.window` and why, for the images that are medical."""
    if "images" not in source or not any(image.deep for image in inspection.images):
        return None, ""
    channels = next((of.channels for of in names if of.channels), ())
    files = [m.path for m in find(tree.root, str(source["images"]), outside=source.get("outside") == "allow")]
    return plan_window(files, channels, grouped=any(r.group != r.id for r in inspection.records))


def _check_sizes(inspection: Inspection) -> None:
    if inspection.problem:
        raise UndecidedError(
            f"{inspection.problem}. If the masks were scaled, scale them to the images' size with nearest neighbour; if images and "
            "masks were cropped differently, export them again; if masks belong to other images, specify the pairs with "
            "--images PATTERN --masks PATTERN"
        )


def _split(
    source: Mapping[str, Any], records: Sequence[Record], chosen: _Chosen, notes: list[str]
) -> tuple[dict[str, Any], str]:
    """The block `data.split` and its reason."""
    given = {r.split for r in records}
    split: dict[str, Any] = {}
    group = None
    if "{group}" in str(source.get("images", "")) or source.get("group") or any(r.group != r.id for r in records):
        split["by"] = "group"
    elif (chosen.hypothesis or chosen.annotated) and len(records) >= 6:
        group, note = divide.find_group(records, chosen.hypothesis)
        if note:
            notes.append(note)
    if group is not None:
        split |= {"by": "group", "group": group.pattern}
    units = group.groups if group else len({r.group for r in records}) if split.get("by") else len(records)
    units = _FEW if "tiles" in source else units
    if given >= {"train", "validation"} and None not in given:
        return ({"group": split["group"]} if "group" in split else {}), _group_why(group)
    if None in given or "train" not in given:
        shares = {"train": 0.7, "validation": 0.15, "test": 0.15} if units >= 6 else _few_shares(units)
    else:
        shares = {"train": 0.85 if units >= 7 else 0.7, "validation": 0.15 if units >= 7 else 0.3, "test": 0.0}
    return {**shares, **split}, _group_why(group) or "the folders define no validation images"


def _few_shares(units: int) -> dict[str, float]:
    if units >= _FEW:
        return {"train": 0.6, "validation": 0.2, "test": 0.2}
    return {"train": 0.5, "validation": 0.5, "test": 0.0}


def _group_why(group: divide.Group | None) -> str:
    return f"groups are kept together: {group.why}" if group else ""


def notes_of(records: Sequence[Record]) -> tuple[str, ...]:
    """The notes of a source."""
    return records.notes if isinstance(records, Records) else ()
