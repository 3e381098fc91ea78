"""Folders of images and masks -> records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

from segengine.data.sources.pairing import Pairs, missing_partners, pair
from segengine.data.sources.patterns import Match, find
from segengine.data.sources.records import SUFFIXES, Record, Records, counted, listed
from segengine.errors import DataError

_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "JPEGImages")
# Not "mask": in retina sets that is the field of view, and no truth.
_MASK_FOLDERS = ("masks", "labels", "annotations", "SegmentationClass")
_LAYOUTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (tuple(f"{{split}}/{f}/*" for f in _IMAGE_FOLDERS), tuple(f"{{split}}/{f}/*" for f in _MASK_FOLDERS)),
    (tuple(f"{f}/{{split}}/*" for f in _IMAGE_FOLDERS), tuple(f"{f}/{{split}}/*" for f in _MASK_FOLDERS)),
    (("{split}/*",), ("{split}annot/*", "{split}_labels/*", "{split}_masks/*")),
    (tuple(f"{f}/*" for f in _IMAGE_FOLDERS), tuple(f"{f}/*" for f in _MASK_FOLDERS)),
)


@dataclass(frozen=True)
class FolderPlan:
    """Where images and masks are under a root; see `find` in patterns for the patterns.

    `lists` names text files with one image a line, one file a split. `unpaired` says what happens to images without
    mask and masks without image. `outside` allows patterns and links that lead out of the root.
    """

    root: Path
    images: str | None = None
    masks: str | None = None
    lists: str | None = None
    unpaired: Literal["error", "skip"] = "error"
    outside: bool = False


def read_folders(plan: FolderPlan) -> Records:
    """All pairs that a plan describes, sorted by id; `notes` say what was skipped or inferred.

    Raises:
        DataError: nothing found (naming root, pattern and what is there), missing partners, ambiguous names.
    """
    if not plan.root.is_dir():
        raise DataError(f"{plan.root}: there is no such folder; set data.source.root (relative to the experiment file)")
    notes: list[str] = []
    images_pattern, masks_pattern = _patterns(plan, notes)
    images = find(plan.root, images_pattern, outside=plan.outside)
    masks = find(plan.root, masks_pattern, outside=plan.outside)
    mask_paths = {match.path for match in masks}
    if len(mask_paths) < len({m.path for m in images} | mask_paths):
        images = [match for match in images if match.path not in mask_paths]  # `*` also catches `*_mask`
    for matches, pattern, what in ((images, images_pattern, "image"), (masks, masks_pattern, "mask")):
        if not matches:
            raise DataError(f"{plan.root}: no {what} matches '{pattern}'; there: {_what_is_there(plan.root)}")
    images, masks = [_picture(m) for m in images], [_picture(m) for m in masks]
    splits: dict[Path, str] = {}
    if plan.lists is not None:
        splits = _listed_splits(plan, plan.lists, images)
        outside_lists = len(images) - len(splits)
        images = [match for match in images if match.path in splits]
        if outside_lists:
            notes.append(f"left out, as in no list: {counted(outside_lists, 'image')} in {plan.root}")
    pairs = pair(images, masks)
    if plan.lists is not None:  # folders often hold more than the lists name
        pairs = Pairs(pairs.pairs, pairs.images_alone, (), pairs.rule)
    if pairs.rule:
        notes.append(f"masks are paired by the rule '{pairs.rule}'")
    _about_missing(plan, pairs, notes, images_pattern, masks_pattern)
    return Records(_records(plan.root, pairs, splits), notes)


def _patterns(plan: FolderPlan, notes: list[str]) -> tuple[str, str]:
    """The given patterns, with the usual layouts for what is not given."""
    if plan.images and plan.masks:
        return plan.images, plan.masks
    for given, what in ((plan.images, "image"), (plan.masks, "mask")):
        if given and not find(plan.root, given, outside=plan.outside):
            raise DataError(f"{plan.root}: no {what} matches '{given}'; there: {_what_is_there(plan.root)}")
    tried = []
    for images, masks in _LAYOUTS:
        image_choices = (plan.images,) if plan.images else images
        mask_choices = (plan.masks,) if plan.masks else masks
        fits = [
            (i, m) for i, m in product(image_choices, mask_choices)
            if find(plan.root, i, outside=plan.outside) and find(plan.root, m, outside=plan.outside)
        ]  # fmt: skip
        if len(fits) > 1:
            options = listed([f"images: {i}, masks: {m}" for i, m in fits], 3)
            raise DataError(
                f"{plan.root}: several folders could be meant ({options}); write images and masks in data.source"
            )
        if fits:
            if not fits[0][1].endswith("masks/*"):
                notes.append(f"images are '{fits[0][0]}' and masks '{fits[0][1]}' in {plan.root}")
            return fits[0]
        tried.append(f"{image_choices[0]} with {mask_choices[0]}")
    raise DataError(
        f"{plan.root}: no images and masks found (tried {'; '.join(tried)}); write images: and masks: patterns in "
        f"data.source; there: {_what_is_there(plan.root)}"
    )


def _picture(match: Match) -> Match:
    if match.path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{match.path}: is no image that can be read ({', '.join(SUFFIXES)}); correct the pattern")
    return match


def _about_missing(plan: FolderPlan, pairs: Pairs, notes: list[str], images: str, masks: str) -> None:
    missing = missing_partners(pairs)
    if not missing:
        return
    if not pairs.pairs:
        raise DataError(
            f"{plan.root}: no image of '{images}' fits a mask of '{masks}': {missing}; names pair by what * matched, "
            "so write patterns such as images: images/*_training.tif and masks: 1st_manual/*_manual1.gif"
        )
    if plan.unpaired == "error":
        raise DataError(f"{plan.root}: {missing}; add what is missing, or set data.source.unpaired: skip")
    notes.append(f"left out, as unpaired: skip says: {missing}")


def _records(root: Path, pairs: Pairs, splits: dict[Path, str]) -> list[Record]:
    return _unique(
        (_identity(root, image.path), image.path, mask.path, splits.get(image.path, image.split))
        for image, mask in pairs.pairs
    )


def _unique(found: Iterable[tuple[str, Path, Path | None, str | None]]) -> list[Record]:
    by_id: dict[str, Record] = {}
    for identity, image, mask, split in found:
        if identity in by_id:
            raise DataError(f"two images have one name: {by_id[identity].image} and {image}; rename or remove one")
        by_id[identity] = Record(identity, image, mask, identity, split)
    return list(by_id.values())


def _identity(root: Path, path: Path) -> str:
    relative = path.relative_to(root) if path.is_relative_to(root) else path
    return relative.with_suffix("").as_posix()


def _listed_splits(plan: FolderPlan, pattern: str, images: Sequence[Match]) -> dict[Path, str]:
    """Image path -> split, from text files with one name, stem or path a line."""
    files = find(plan.root, pattern, outside=plan.outside, suffixes=False)
    if not files:
        raise DataError(f"{plan.root}: no list matches '{pattern}'; there: {_what_is_there(plan.root)}")
    by_name: dict[str, Match] = {}
    for match in images:
        for name in ("/".join(match.key), match.path.stem, match.path.name, _identity(plan.root, match.path),
                     match.path.relative_to(plan.root).as_posix() if match.path.is_relative_to(plan.root) else ""):  # fmt: skip
            by_name.setdefault(name, match)
    splits: dict[Path, str] = {}
    for file in files:
        if file.split is None:
            raise DataError(f"{plan.root}: lists: '{pattern}' needs {{split}} where train, val or test stands")
        lines = [line.split()[0].lstrip("/") for line in file.path.read_text("utf-8").splitlines() if line.strip()]
        unknown = [line for line in lines if line not in by_name]
        if unknown:
            raise DataError(
                f"{file.path}: {counted(len(unknown), 'listed image')} not found in {plan.root} ({listed(unknown)}); "
                "correct the list or add them"
            )
        for line in lines:
            path = by_name[line].path
            if splits.setdefault(path, file.split) != file.split:
                raise DataError(f"{file.path}: '{line}' is in the list of {splits[path]} too; an image has one split")
    return splits


def _what_is_there(root: Path) -> str:
    """The first entries of a folder, folders with their number of files, for messages."""
    entries = sorted(e for e in root.iterdir() if not e.name.startswith("."))
    folders = [f"{e.name}/ ({counted(sum(1 for _ in e.iterdir()), 'entry', 'entries')})" for e in entries if e.is_dir()]
    files = [e.name for e in entries if e.is_file()]
    by_suffix = sorted({re.sub(r"^.*(\.[^.]+)$", r"*\1", name) for name in files})
    kinds = [f"{sum(1 for n in files if n.endswith(s[1:]))} {s}" for s in by_suffix]
    return listed([*folders, *kinds], 8) or "nothing"
