"""Splits from lists, and groups of images, found in names and verified by contents."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from statistics import median

import numpy as np

from segengine.data.files.formats import stem_of, suffix_of
from segengine.data.sources.lists import table_splits
from segengine.data.sources.patterns import literal
from segengine.data.sources.records import Record
from segengine.errors import counted
from segengine.inspection.layouts.contents import look
from segengine.inspection.layouts.families import escaped
from segengine.inspection.layouts.hypotheses import Hypothesis
from segengine.inspection.layouts.known import recognised
from segengine.inspection.layouts.names import split_of
from segengine.inspection.layouts.tree import Parts, Tree

_WORDS = (
    "patient|pat|subject|subj|sub|scene|video|vid|sequence|seq|clip|slide|wsi|scan|volume|vol|case|plot|field|p|s|v"
)
_SAMPLED = 96
_ALIKE = 0.75


@dataclass(frozen=True)
class Group:
    """A pattern for the group in an image's name, and its evidence."""

    pattern: str
    why: str
    groups: int


def split_lists(tree: Tree, hypothesis: Hypothesis) -> str | None:
    """The pattern of text or CSV files that define splits; None if there are none."""
    images = [image.parts for image, _ in hypothesis.matched.pairs]
    names = {n for parts in images for n in (parts[-1], stem_of(parts[-1]))}
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for parts in tree.texts:
        path = tree.path(parts)
        if parts[-1].lower().endswith((".csv", ".tsv")):
            rows = list(table_splits(path))
            known = sum(_name(line) in names for line, _ in rows)
            if known and known == len(rows) and len({split for _, split in rows}) > 1:
                found["/".join(literal(p) for p in parts)]["all"] = known
        elif parts[-1].lower().endswith(".txt"):
            pattern, split = _list_pattern(parts)
            lines = _lines(tree, parts) if split else []
            if lines and sum(_name(line) in names for line in lines) == len(lines):
                found[pattern][split] = len(lines)
    usable = {p: sum(of.values()) for p, of in found.items() if "all" in of or ("train" in of and len(of) > 1)}
    return max(usable, key=lambda p: (usable[p], "egmentation" in p, -len(p)), default=None)


def _list_pattern(parts: Parts) -> tuple[str, str]:
    stem = stem_of(parts[-1])
    spoken = split_of(stem)
    if spoken is None:
        return "", ""
    return "/".join([*(literal(p) for p in parts[:-1]), escaped(spoken[0]) + PurePosixPath(parts[-1]).suffix]), spoken[
        1
    ]


def _lines(tree: Tree, parts: Parts) -> list[str]:
    try:
        text = tree.path(parts).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _name(line: str) -> str:
    """The file name of the image in a line of a list."""
    whole = line.replace("\\", "/").rpartition("/")[2]
    first = line.split(maxsplit=1)[0].split(",", maxsplit=1)[0].replace("\\", "/").rpartition("/")[2]
    return whole if " " not in line else first


def find_group(records: Sequence[Record], hypothesis: Hypothesis | None) -> tuple[Group | None, str]:
    """The group for `data.split`, and a note if images of one group are in several splits of the folders."""
    for group in _candidates(records, hypothesis):
        members: dict[str, set[str | None]] = defaultdict(set)
        for record in records:
            match = re.search(group.pattern, stem_of(record.image))
            assert match is not None
            members[match[1]].add(record.split)
        shared = sum(len(splits) > 1 for splits in members.values())
        if shared:
            return None, (
                f"{counted(shared, 'group')} of related images ({group.why}) are in several splits of the folders: "
                "scores will be higher than on new data"
            )
        return group, ""
    return None, ""


def _candidates(records: Sequence[Record], hypothesis: Hypothesis | None) -> Iterator[Group]:
    stems = [stem_of(r.image) for r in records]
    for known in recognised(hypothesis.images, hypothesis.masks) if hypothesis is not None else ():
        if known.group and (found := _grouped(stems, known.group)):
            yield Group(known.group, f"as in {known.title}", len(set(found)))
    eyes = r"^(.*[0-9])[LRlr]$"
    found = _grouped(stems, eyes)
    if found and len(set(stems)) == 2 * len(set(found)):
        yield Group(eyes, "left and right of one person", len(set(found)))
    for pattern in (rf"(?i)^(?:.*[_\-. ])?((?:{_WORDS})[_\-. ]?[0-9]+)[_\-. ]", r"^([^_]+_[^_]+_[^_]+)_", r"^([^_]+_[^_]+)_", r"^([^_]+)_",
                    r"^([^\-]+-[^\-]+)-", r"^([^\-]+)-", r"^(.+)[_\-. ][0-9]+$"):  # fmt: skip
        found = _grouped(stems, pattern)
        if not found or not any(ch.isdigit() for ch in "".join(found)):
            continue
        worded = "(?i)" in pattern
        ratio = alike(records, found)
        if (worded and ratio < 1.0) or ratio < _ALIKE:
            why = f"such as {min(found)}; images of one differ {ratio:.2f} times as much as others do"
            yield Group(_plain(pattern, found, stems), why, len(set(found)))


def _plain(pattern: str, found: Sequence[str], stems: Sequence[str]) -> str:
    """`^(p[0-9]+)` if it finds the same groups, else the pattern itself."""
    shapes = {re.sub(r"[0-9]+", "#", name) for name in found}
    shape = next(iter(shapes))
    if len(shapes) > 1 or not re.fullmatch(r"[A-Za-z_\-]*#", shape):
        return pattern
    for simple in (f"^({shape[:-1]}[0-9]+)", f"({shape[:-1]}[0-9]+)"):
        if all((m := re.search(simple, stem)) and m[1] == group for stem, group in zip(stems, found, strict=True)):
            return simple
    return pattern


def _grouped(stems: Sequence[str], pattern: str) -> list[str]:
    """The group of each name; empty if a name has none, or if there are too many or too few groups."""
    matches = [re.search(pattern, stem) for stem in stems]
    found = [m[1] for m in matches if m]
    groups = len(set(found))
    return found if len(found) == len(stems) and 2 <= groups <= len(stems) / 1.6 else []


def alike(records: Sequence[Record], groups: Sequence[str]) -> float:
    """Median difference of thumbnails within groups divided by that between groups; 1 if unknown."""
    step = max(1, len(records) // _SAMPLED)
    order = sorted(range(len(records)), key=lambda i: (groups[i], records[i].id))
    chosen = [i for n, i in enumerate(order) if n % (2 * step) < 2][:_SAMPLED]
    thumbs = {i: c.gray for i in chosen if (c := look(records[i].image)) is not None}
    normal = {i: (t - t.mean()) / (t.std() + 1e-6) for i, t in thumbs.items()}
    within: list[float] = []
    between: list[float] = []
    keys = list(normal)
    for a, one in enumerate(keys):
        for two in keys[a + 1 :]:
            difference = float(np.abs(normal[one] - normal[two]).mean())
            (within if groups[one] == groups[two] else between).append(difference)
    if len(within) < 3 or len(between) < 3 or median(between) == 0:
        return 1.0
    return float(median(within) / median(between))


def folder_group(hypothesis: Hypothesis, records: Sequence[Record]) -> tuple[str, str, str] | None:
    """(images, masks, why) with `{group}` in place of the folder that defines groups; None if there is none."""
    images, masks = hypothesis.images.split("/"), hypothesis.masks.split("/")
    image_places, mask_places = ([i for i, part in enumerate(side[:-1]) if part == "*"] for side in (images, masks))
    if len(image_places) != len(mask_places) or not image_places:
        return None
    folders = {
        "/".join((*image.parts[:-1], stem_of(image.parts[-1]))): image.folder for image, _ in hypothesis.matched.pairs
    }
    for place, other in zip(image_places, mask_places, strict=True):
        groups = [folders.get(r.id, ("",) * 9)[place] for r in records]
        number = len(set(groups))
        if not all(groups) or not 2 <= number <= len(records) / 1.6:
            continue
        splits: dict[str, set[str | None]] = defaultdict(set)
        for record, group in zip(records, groups, strict=True):
            splits[group].add(record.split)
        scans = all(suffix_of(r.image) == ".dcm" for r in records)  # slices in one folder are those of a patient
        ratio = 0.0 if scans else alike(records, groups)
        worded = all(re.fullmatch(rf"(?i)({_WORDS})?[_\-. ]?[0-9]+.*", group) for group in groups)
        if all(len(of) == 1 for of in splits.values()) and (ratio < _ALIKE or (worded and ratio < 1.0)):
            images[place], masks[other] = "{group}", "{group}"
            return (
                "/".join(images),
                "/".join(masks),
                f"folders such as {min(groups)} contain the images of one patient, scene or video each",
            )
    return None
