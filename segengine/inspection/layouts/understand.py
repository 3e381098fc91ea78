"""From a folder to everything that an experiment needs to say about its data, or to the question that only a person can answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segengine.components.base import Source
from segengine.components.sources import Folders, Table
from segengine.data.files.decoding import decode
from segengine.data.sources.patterns import find
from segengine.data.sources.records import Record, Records, counted, listed
from segengine.errors import DataError
from segengine.events import Listener
from segengine.inspection.inspect import Inspection, inspect_records
from segengine.inspection.layouts import divide
from segengine.inspection.layouts.annotations import find_annotations
from segengine.inspection.layouts.choose import choose, settings
from segengine.inspection.layouts.class_names import find_names
from segengine.inspection.layouts.contents import look
from segengine.inspection.layouts.families import find_families
from segengine.inspection.layouts.hypotheses import Hypothesis, search
from segengine.inspection.layouts.known import Known, recognised
from segengine.inspection.layouts.meaning import Meaning, interpret
from segengine.inspection.layouts.tables import find_table
from segengine.inspection.layouts.tree import Tree, look_around

_FEW = 3
_LEAST_TILE = 32
_TRIED = 6


@dataclass(frozen=True)
class Answers:
    """What a person said: patterns, and whether files may be left out or lie elsewhere."""

    images: str | None = None
    masks: str | None = None
    unpaired: str | None = None
    outside: str | None = None


class UndecidedError(DataError):
    """What only a person can decide: `text`, and the `choices` as (images, masks) patterns with the reason of each."""

    def __init__(self, text: str, choices: Sequence[Hypothesis] = ()) -> None:
        super().__init__(text)
        self.choices = tuple(choices)


@dataclass(frozen=True)
class Finding:
    """What was understood of a folder: the source's settings, the masks' meaning, the split, and what was said."""

    root: Path
    source: Mapping[str, Any]
    inspection: Inspection
    meaning: Meaning
    split: Mapping[str, Any]
    split_why: str
    evidence: tuple[str, ...]
    notes: tuple[str, ...]
    hypotheses: tuple[Hypothesis, ...] = ()

    @property
    def masks_are(self) -> str:
        """What the masks hold, without the advice that the settings follow already."""
        return self.inspection.diagnosis.message.partition("; write ")[0]


def understand(root: Path, listener: Listener, answers: Answers | None = None) -> Finding:
    """Everything that can be seen in a folder of images and masks; nothing in it is changed.

    Raises:
        UndecidedError: several readings are as good, or none is; says which, and how to answer.
        DataError: files that can't be used as they are.
    """
    answers = answers or Answers()
    tree = look_around(root, outside=answers.outside == "allow")
    source, hypothesis, evidence, notes, all_found = _source(tree, answers)
    records = _records(root, source, notes)
    if hypothesis is not None and len(records) >= 6:
        grouped = _with_folder_groups(source, hypothesis, records, notes)
        if grouped is not source:
            source, records = grouped, _component(root, grouped).build()
    inspection = inspect_records(records, root, listener)
    _check_sizes(inspection)
    pattern_images, pattern_masks = str(source.get("images", "")), str(source.get("masks", ""))
    parts = "class" if "{class}" in pattern_masks else "object" if "{object}" in pattern_masks else ""
    known: list[Known] = recognised(pattern_images, pattern_masks, _example(records))
    order = source.get("class_order", ())
    meaning = interpret(inspection.survey, inspection.diagnosis, find_names(tree), known, parts=parts, order=order)
    source = {**source, **_tiles(inspection, notes)}
    split, why = _split(source, inspection.records, hypothesis, notes)
    notes += [note for note in find_annotations(tree) if hypothesis is None and "table" not in source.get("name", "")]
    if unread := tree.unread_words():
        notes.append(unread)
    return Finding(root, source, inspection, meaning, split, why, tuple(evidence), tuple(notes), tuple(all_found))


def _source(
    tree: Tree, answers: Answers
) -> tuple[dict[str, Any], Hypothesis | None, list[str], list[str], list[Hypothesis]]:
    """Settings of the source, the hypothesis behind them, its evidence, notes, and all hypotheses."""
    given = {k: v for k, v in (("images", answers.images), ("masks", answers.masks), ("unpaired", answers.unpaired),
                               ("outside", answers.outside)) if v is not None}  # fmt: skip
    if answers.images and answers.masks:
        return {"name": "folders", **given}, None, ["the patterns were given"], [], []
    hypotheses = search(tree, find_families(tree))
    fitting = _as_answered(tree, hypotheses, answers)
    choice = choose(tree, fitting)
    table = find_table(tree)
    taken = choice.taken
    if table is not None and (
        taken is None or taken.marks["images paired"] < 0.95 or taken.marks["masks paired"] < 0.5
    ):
        return (
            {**table[0], **({"unpaired": "skip"} if answers.unpaired == "skip" else {})},
            None,
            [table[1]],
            [],
            hypotheses,
        )
    if taken is None:
        raise _question(tree, choice.why, choice.rivals)
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
    return source, taken, list(taken.evidence), [*choice.notes, *notes], hypotheses


def _as_answered(tree: Tree, hypotheses: Sequence[Hypothesis], answers: Answers) -> list[Hypothesis]:
    """Hypotheses whose images or masks are among those of the one pattern that was given."""
    fitting = list(hypotheses)
    for pattern, masks in ((answers.images, False), (answers.masks, True)):
        if pattern is None:
            continue
        allowed = {
            m.path.relative_to(tree.root).parts for m in find(tree.root, pattern, outside=answers.outside == "allow")
        }
        if not allowed:
            raise DataError(f"{tree.root}: no file matches '{pattern}'")
        fitting = [h for h in fitting if (h.mask_files if masks else h.image_files) <= allowed]
    return fitting


def _class_values(tree: Tree, hypothesis: Hypothesis) -> list[str]:
    return sorted({v for m in find(tree.root, hypothesis.masks) if (v := m.value("class")) is not None})


def _component(root: Path, source: Mapping[str, Any]) -> Source:
    kind = Table if source["name"] == "table" else Folders
    return kind.model_validate({**source, "root": root.absolute()})


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
    """`tiles` where there are too few images to train on some and validate on others."""
    shortest = min(min(image.height, image.width) for image in inspection.images)
    if len(inspection.records) >= _FEW or any(r.split for r in inspection.records) or shortest < _LEAST_TILE * 2:
        return {}
    few = counted(len(inspection.records), "image")
    notes.append(
        f"{few} can't train, validate and test: tiles of each do; scores on parts of the same image are too good"
    )
    return {"tiles": max(_LEAST_TILE, min(512, shortest // 2))}


def _check_sizes(inspection: Inspection) -> None:
    if inspection.problem:
        raise UndecidedError(
            f"{inspection.problem}. Were the masks scaled (then scale them to the images' size by nearest neighbour), were images "
            "and masks cut differently (then export them again), or do they belong to other images (then say which belong together "
            "by --images PATTERN --masks PATTERN)?"
        )


def _split(
    source: Mapping[str, Any], records: Sequence[Record], hypothesis: Hypothesis | None, notes: list[str]
) -> tuple[dict[str, Any], str]:
    """The block `data.split` and why it is as it is."""
    given = {r.split for r in records}
    split: dict[str, Any] = {}
    group = None
    if "{group}" in str(source.get("images", "")) or source.get("group"):
        split["by"] = "group"
    elif hypothesis is not None and len(records) >= 6:
        group, note = divide.find_group(records, hypothesis)
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
    return {**shares, **split}, _group_why(group) or "the folders don't say what validates"


def _few_shares(units: int) -> dict[str, float]:
    if units >= _FEW:
        return {"train": 0.6, "validation": 0.2, "test": 0.2}
    return {"train": 0.5, "validation": 0.5, "test": 0.0}


def _group_why(group: divide.Group | None) -> str:
    return f"groups stay together: {group.why}" if group else ""


def _question(tree: Tree, why: str, rivals: Sequence[Hypothesis]) -> UndecidedError:
    """The question in words: what was found, two or three choices, and how to answer."""
    annotations = find_annotations(tree)
    unread = tree.unread_words()
    where = str(tree.root)
    if not tree.pictures:
        found = [*annotations, *([unread] if unread else [])]
        if tree.outside:
            links = counted(len(tree.outside), "link leads", "links lead")
            found.append(f"{links} out of it (first {'/'.join(tree.outside[0])}); follow them with --outside allow")
        return UndecidedError(f"{where}: holds no images that can be read{'; ' + '; '.join(found) if found else ''}")
    if problem := _undecodable(tree):
        return UndecidedError(f"{where}: none of {counted(len(tree.pictures), 'image')} can be decoded; {problem}")
    if annotations and not any(r.marks["contents"] > 0.6 for r in rivals):
        return UndecidedError(
            f"{where}: holds {counted(len(tree.pictures), 'image')} and no masks; {'; '.join(annotations)}"
        )
    folders = Counter("/".join(p[:-1]) or "." for p in tree.pictures)
    there = listed([f"{name}/ ({counted(n, 'image')})" for name, n in folders.most_common(5)], 5)
    options = "; ".join(f"--images '{r.images}' --masks '{r.masks}'" for r in rivals[:3])
    asked = f"which is meant? {options}" if options else (
        "which are the images and which the masks? Answer with --images PATTERN --masks PATTERN, for example --images 'photos/*.jpg' "
        "--masks 'labels/*.png'; * stands for what an image and its mask have in common"
    )  # fmt: skip
    extra = "".join(f"; {text}" for text in ([unread] if unread else []) + annotations)
    if tree.outside:
        extra += (
            f"; {counted(len(tree.outside), 'link leads', 'links lead')} out of the folder: follow with --outside allow"
        )
    return UndecidedError(f"{where}: {why}; there: {there}{extra}; {asked}", rivals[:3])


def _undecodable(tree: Tree) -> str:
    """Why the first image can't be decoded, if a few others can't either; '' if any can."""
    step = max(1, len(tree.pictures) // _TRIED)
    if any(look(tree.path(parts)) is not None for parts in tree.pictures[::step][:_TRIED]):
        return ""
    try:
        decode(tree.path(tree.pictures[0]))
    except DataError as error:
        return str(error)
    return ""


def notes_of(records: Sequence[Record]) -> tuple[str, ...]:
    """What a source said."""
    return records.notes if isinstance(records, Records) else ()
