"""Source of records: folders of images and masks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

from segengine.data.files.formats import SUFFIXES, holds_of, missing_libraries, readable_suffixes, stem_of, suffix_of
from segengine.data.files.parallel import in_threads
from segengine.data.files.volumes import Plane
from segengine.data.sources.lists import listed_splits
from segengine.data.sources.pairing import Pairs, missing_partners, pair
from segengine.data.sources.patterns import Match, find, finds_any
from segengine.data.sources.records import Record, Records, listed
from segengine.errors import DataError, counted

_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "JPEGImages")
# Not "mask": in retina data sets that is the field of view, not the ground truth.
_MASK_FOLDERS = ("masks", "labels", "annotations", "SegmentationClass")
_LAYOUTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (tuple(f"{{split}}/{f}/*" for f in _IMAGE_FOLDERS), tuple(f"{{split}}/{f}/*" for f in _MASK_FOLDERS)),
    (tuple(f"{f}/{{split}}/*" for f in _IMAGE_FOLDERS), tuple(f"{f}/{{split}}/*" for f in _MASK_FOLDERS)),
    (("{split}/*",), ("{split}annot/*", "{split}_labels/*", "{split}_masks/*")),
    (tuple(f"{f}/*" for f in _IMAGE_FOLDERS), tuple(f"{f}/*" for f in _MASK_FOLDERS)),
)


@dataclass(frozen=True)
class FolderPlan:
    """Location of images and masks under a root; see `patterns.find` for the pattern syntax.

    `lists`: text files with one image per line, one file per split. `unpaired`: how images without a mask and masks
    without an image are handled. `outside`: allow patterns and links that lead out of the root. `splits`: the splits to
    use, None for all. `class_order`: the texts matched by `{class}` in the order of classes 1, 2 ...; None: sorted.
    `tiles`: maximum side of tiles, in pixels, into which images and masks are cut. `pages`: read each page of a TIFF
    stack as a separate image, before tiling. `slices`: the plane in which volumes are divided into slices.
    """

    root: Path
    images: str | None = None
    masks: str | None = None
    lists: str | None = None
    unpaired: Literal["error", "skip"] = "error"
    outside: bool = False
    splits: tuple[str, ...] | None = None
    class_order: tuple[str, ...] | None = None
    tiles: int | None = None
    pages: bool = False
    slices: Plane = "auto"


def read_folders(plan: FolderPlan) -> Records:
    """All pairs described by a plan, sorted by id; `notes` list what was skipped or inferred.

    Raises:
        DataError: nothing found (names root, pattern and existing files), missing partners, or ambiguous names.
    """
    if not plan.root.is_dir():
        raise DataError(f"{plan.root}: no such folder; set data.source.root (relative to the experiment file)")
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
    images, masks = [_used(plan, found) for found in (images, masks)]
    image_parts, mask_parts = together(images, ("channel", "slice")), together(masks, ("class", "object"))
    images, masks = [parts[0] for parts in image_parts], [parts[0] for parts in mask_parts]
    splits: dict[Path, str] = {}
    if plan.lists is not None:
        there = _what_is_there(plan.root)
        splits = listed_splits(plan.root, plan.lists, images, outside=plan.outside, there=there)
        outside_lists = sum(match.path not in splits for match in images)
        if plan.splits is not None:
            splits = {path: split for path, split in splits.items() if split in plan.splits}
        images = [match for match in images if match.path in splits]
        if outside_lists:
            notes.append(f"skipped, not in any list: {counted(outside_lists, 'image')} in {plan.root}")
    pairs = pair(images, masks)
    if plan.lists is not None:  # folders often contain more than the lists name
        pairs = Pairs(pairs.pairs, pairs.images_alone, (), pairs.rule)
    if pairs.rule:
        notes.append(f"masks are paired by the rule '{pairs.rule}'")
    _about_missing(plan, pairs, notes, images_pattern, masks_pattern)
    files = Parts(plan, image_parts, mask_parts)
    return Records(_tiled(plan, _joined(plan, _records(plan.root, pairs, splits), files)), notes, plan.root)


def _patterns(plan: FolderPlan, notes: list[str]) -> tuple[str, str]:
    """The given patterns, completed by the usual layouts."""
    if plan.images and plan.masks:
        return plan.images, plan.masks
    for given, what in ((plan.images, "image"), (plan.masks, "mask")):
        if given and not finds_any(plan.root, given, outside=plan.outside):
            raise DataError(f"{plan.root}: no {what} matches '{given}'; there: {_what_is_there(plan.root)}")
    tried = []
    for images, masks in _LAYOUTS:
        image_choices = (plan.images,) if plan.images else images
        mask_choices = (plan.masks,) if plan.masks else masks
        there = [i for i in image_choices if finds_any(plan.root, i, outside=plan.outside)]
        beside = [m for m in mask_choices if there and finds_any(plan.root, m, outside=plan.outside)]
        fits = list(product(there, beside))
        if len(fits) > 1:
            options = listed([f"images: {i}, masks: {m}" for i, m in fits], 3)
            raise DataError(f"{plan.root}: the layout is ambiguous ({options}); write images and masks in data.source")
        if fits:
            if not fits[0][1].endswith("masks/*"):
                notes.append(f"images are '{fits[0][0]}' and masks '{fits[0][1]}' in {plan.root}")
            return fits[0]
        tried.append(f"{image_choices[0]} with {mask_choices[0]}")
    raise DataError(
        f"{plan.root}: no images and masks found (tried {'; '.join(tried)}); write images: and masks: patterns in "
        f"data.source; there: {_what_is_there(plan.root)}"
    )


def _used(plan: FolderPlan, matches: Sequence[Match]) -> list[Match]:
    """Matches in the selected splits; each must be a readable file."""
    readable = readable_suffixes()
    for match in matches:
        if suffix_of(match.path) not in readable:
            raise DataError(f"{match.path}: not a supported image format ({', '.join(SUFFIXES)}); correct the pattern")
    if unread := missing_libraries([match.path for match in matches]):
        raise DataError(unread)
    used = [m for m in matches if plan.splits is None or m.split is None or m.split in plan.splits]
    if matches and not used:
        raise DataError(
            f"{plan.root}: no file belongs to data.source.splits: {', '.join(plan.splits or ())}; there: "
            f"{', '.join(sorted({m.split or '' for m in matches}))}"
        )
    return used


def together(matches: Sequence[Match], names: tuple[str, ...]) -> list[list[Match]]:
    """Group the files of one image or mask: equal keys, differing only in the placeholders `names`."""
    if not matches or all(matches[0].value(name) is None for name in names):
        return [[match] for match in matches]
    by_key: dict[tuple[str | None, tuple[str, ...]], list[Match]] = {}
    for match in matches:
        by_key.setdefault((match.split, match.key), []).append(match)
    return [sorted(parts, key=lambda m: (*(m.value(n) or "" for n in names), m.path)) for parts in by_key.values()]


class Parts:
    """The files of each image and mask by the first one, merged into one file if there are several."""

    def __init__(self, plan: FolderPlan, images: Sequence[list[Match]], masks: Sequence[list[Match]]) -> None:
        """Raises DataError if `class_order` lacks a text matched by `{class}`."""
        self._images = {parts[0].path: parts for parts in images}
        self._masks = {parts[0].path: parts for parts in masks}
        found = sorted({value for parts in masks for m in parts if (value := m.value("class")) is not None})
        self._order = list(plan.class_order or found)
        strange = [value for value in found if value not in self._order]
        if strange:
            raise DataError(
                f"{plan.root}: masks match {listed(strange)}, missing from data.source.class_order; add it there, or write a "
                "masks: a pattern that leaves these files out"
            )
        self._merged = any(m.value(name) is not None for parts in masks for m in parts for name in ("class", "object"))

    def is_volume(self, first: Path) -> bool:
        """Whether an image is a volume: a file of one, or a series with a file per slice."""
        return self._images[first][0].value("slice") is not None or holds_of(first) == "volume"

    def slices(self, first: Path, mask: Path, plane: Plane) -> list[tuple[str, Path, Path]]:
        """The slices of a volume and its mask: (name, image, mask) per slice."""
        from segengine.data.sources.slices import series_slices, volume_slices

        images, masks = ([match.path for match in of] for of in (self._images[first], self._masks[mask]))
        if self._merged:
            raise DataError(f"{mask}: volumes have one mask file each; write masks: without {{class}} and {{object}}")
        if self._images[first][0].value("slice") is not None:
            return series_slices(images, masks, plane)
        return volume_slices(images, mask, plane)

    @property
    def as_they_are(self) -> bool:
        """Whether each image and each mask is one file, used unchanged."""
        return not self._merged and all(len(parts) == 1 for parts in self._images.values())

    def image(self, first: Path) -> Path:
        """The file of an image."""
        from segengine.data.sources.parts import stacked_channels

        parts = [match.path for match in self._images[first]]
        return first if len(parts) == 1 else stacked_channels(parts)

    def mask(self, first: Path) -> Path:
        """The file of a mask; class and object masks are merged even if an image has only one."""
        from segengine.data.sources.parts import merged_mask

        if not self._merged:
            return first
        parts = self._masks[first]
        values = [m.value("class") for m in parts]
        classes = [1 if value is None else 1 + self._order.index(value) for value in values]
        return merged_mask([match.path for match in parts], classes)


def _tiled(plan: FolderPlan, records: list[Record]) -> list[Record]:
    """Split records into pages and tiles that share one group; unchanged without both."""
    from segengine.data.sources.parts import divided_records, pages, tiles

    if plan.pages:
        records = divided_records(records, pages)
    if plan.tiles is not None:
        largest = plan.tiles
        records = divided_records(records, lambda image, mask: tiles(image, mask, largest))
    return records


def _about_missing(plan: FolderPlan, pairs: Pairs, notes: list[str], images: str, masks: str) -> None:
    missing = missing_partners(pairs)
    if not missing:
        return
    if not pairs.pairs:
        raise DataError(
            f"{plan.root}: no image of '{images}' fits a mask of '{masks}': {missing}; names pair by the text that * matches, "
            "so write patterns such as images: images/*_training.tif and masks: 1st_manual/*_manual1.gif"
        )
    if plan.unpaired == "error":
        raise DataError(f"{plan.root}: {missing}; add what is missing, or set data.source.unpaired: skip")
    notes.append(f"skipped (unpaired: skip): {missing}")


def _records(root: Path, pairs: Pairs, splits: dict[Path, str]) -> list[Record]:
    by_id: dict[str, Record] = {}
    for image, mask in pairs.pairs:
        identity = _identity(root, image.path)
        if identity in by_id:
            raise DataError(
                f"two images have the same name: {by_id[identity].image} and {image.path}; rename or remove one"
            )
        group = image.value("group") or identity
        split = splits.get(image.path, image.split)
        by_id[identity] = Record(identity, image.path, mask.path, group, split)
    return list(by_id.values())


def _joined(plan: FolderPlan, records: list[Record], files: Parts) -> list[Record]:
    """Records whose files are merged, and volumes divided into slices that share one group."""
    if any(files.is_volume(record.image) for record in records):
        from segengine.data.sources.parts import divided_records

        return divided_records(records, lambda image, mask: files.slices(image, mask, plan.slices))
    return records if files.as_they_are else in_threads(lambda r: _merged(r, files), records, "files")


def _merged(record: Record, files: Parts) -> Record:
    assert record.mask is not None
    return replace(record, image=files.image(record.image), mask=files.mask(record.mask))


def _identity(root: Path, path: Path) -> str:
    """The path relative to the root, without suffix, with "/" as separator."""
    text, base = path.as_posix(), f"{root.as_posix().rstrip('/')}/"
    folder, slash, name = text.removeprefix(base).rpartition("/")
    return folder + slash + stem_of(name)


def _what_is_there(root: Path) -> str:
    """The first entries of a folder for messages; folders with their number of entries."""
    entries = sorted(e for e in root.iterdir() if not e.name.startswith("."))
    folders = [f"{e.name}/ ({counted(sum(1 for _ in e.iterdir()), 'entry', 'entries')})" for e in entries if e.is_dir()]
    files = [e.name for e in entries if e.is_file()]
    by_suffix = sorted({re.sub(r"^.*(\.[^.]+)$", r"*\1", name) for name in files})
    kinds = [f"{sum(1 for n in files if n.endswith(s[1:]))} {s}" for s in by_suffix]
    return listed([*folders, *kinds], 8) or "nothing"
