"""Families: image files whose paths match one pattern and whose contents are of one kind."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from statistics import fmean
from typing import Literal

from segengine.data.files.formats import suffix_of
from segengine.data.sources.patterns import literal
from segengine.inspection.layouts.contents import Content, look
from segengine.inspection.layouts.names import (
    beginnings,
    channel_endings,
    common_affixes,
    endings,
    split_in_stem,
    split_of,
    words,
)
from segengine.inspection.layouts.tree import Parts, Tree

ANY = "*"
_MANY_SIBLINGS = 12
_MOST_FAMILIES = 160
_LOOKS = 240
_ALIKE = 0.6
"""Maximum difference of mask-likeness within a family."""
_IMAGE = 0.45
_NUMBERED = re.compile(r"^[A-Za-z0-9]{1,2}[.)] ?(?=\{split\})")
_DEEPEST = 7


@dataclass(frozen=True)
class File:
    """A file: its path, its split, the names at each position of its folder, and its stem without affixes."""

    parts: Parts
    split: str | None
    folder: tuple[str, ...]
    core: str


@dataclass(frozen=True)
class Form:
    """A pattern: `folder` of escaped names, `*` or names with `{split}`; the affixes of the stem; the suffix, '' for any.

    `kind`: all files of the folder, the `rest` without the affixes that others have, or those `affixed` in any way.
    """

    folder: tuple[str, ...]
    before: str
    after: str
    suffix: str
    kind: Literal["all", "rest", "affixed"] = "all"

    def wild(self) -> tuple[int, ...]:
        """Positions of the folder pattern that are `*`."""
        return tuple(i for i, name in enumerate(self.folder) if name == ANY)


@dataclass(frozen=True, eq=False)
class Family:
    """Files of one form, with the contents of a few of them."""

    form: Form
    files: tuple[File, ...]
    contents: tuple[Content, ...] = field(repr=False)

    @cached_property
    def likeness(self) -> float:
        """Mean similarity of the contents to masks, 0 to 1."""
        return fmean(c.likeness for c in self.contents) if self.contents else 0.5

    @cached_property
    def affixes(self) -> tuple[str, str]:
        """Common prefix and suffix of all names, without the affixes of the form."""
        return common_affixes({f.core for f in self.files})

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of folders and affixes."""
        texts = (*self.form.folder, self.form.before, self.form.after, " ".join(self.affixes))
        return frozenset(word for text in texts for word in words(text.replace("{split}", " ").replace("{any}", " ")))


def escaped(name: str) -> str:
    """A name as a pattern: `{split}` is kept, other special characters are escaped."""
    return "{split}".join(literal(piece) for piece in name.split("{split}"))


def find_families(tree: Tree) -> list[Family]:
    """Families of a tree, largest first; a file is in several families, one per choice of wildcard folders."""
    atoms = _atoms(tree)
    looked = _looked_at(tree, atoms)
    merged: dict[Form, list[Form]] = defaultdict(list)
    suffixes = {form.suffix for form in atoms}
    for form in atoms:
        for wider in _wider(form, several_suffixes=len(suffixes) > 1):
            merged[wider].append(form)
    best: dict[frozenset[Form], Form] = {}
    for wider, members in merged.items():
        members_set = frozenset(members)
        old = best.get(members_set)
        if old is None or _looseness(wider) < _looseness(old):
            best[members_set] = wider
    families = []
    for members_set, form in best.items():
        kept = _of_one_kind(members_set, looked)
        files = sorted((f for member in kept for f in atoms[member]), key=lambda f: f.parts)
        contents = [c for member in kept for c in looked.get(member, ())]
        if files:
            families.append(Family(form, tuple(files), tuple(contents)))
    families.sort(key=lambda f: (-len(f.files), _looseness(f.form), f.form.folder, f.form.after))
    return families[:_MOST_FAMILIES]


def _of_one_kind(members: frozenset[Form], looked: dict[Form, list[Content]]) -> frozenset[Form]:
    """Members with similar contents: all of them or, if images and masks are mixed, only the images."""
    likeness = {member: fmean(c.likeness for c in looked[member]) for member in members if looked.get(member)}
    if len(members) == 1 or not likeness or max(likeness.values()) - min(likeness.values()) <= _ALIKE:
        return members
    images = frozenset(member for member, value in likeness.items() if value < _IMAGE)
    return images if len(images) > 1 else frozenset()


def _looseness(form: Form) -> tuple[int, int]:
    return len(form.wild()), int(not form.suffix)


def _wider(form: Form, *, several_suffixes: bool) -> Iterator[Form]:
    choices = [(name,) if name == ANY or "{split}" in name else (name, ANY) for name in form.folder]
    for folder in product(*choices):
        for suffix in (form.suffix, "") if several_suffixes else (form.suffix,):
            yield Form(folder, form.before, form.after, suffix, form.kind)


def _atoms(tree: Tree) -> dict[Form, list[File]]:
    """Files by folder, affixes and suffix; folders with many siblings are combined."""
    crowded = _crowded(tree.pictures)
    by_folder: dict[tuple[tuple[str, ...], str], list[tuple[Parts, str | None]]] = defaultdict(list)
    templates: dict[Parts, tuple[tuple[str, ...], str | None]] = {}
    for parts in tree.pictures:
        if len(parts) > _DEEPEST:
            continue
        folder = parts[:-1]
        if folder not in templates:
            templates[folder] = _template(folder, crowded)
        template, split = templates[folder]
        by_folder[template, suffix_of(parts[-1])].append((parts, split))
    stems_there: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for (template, _), found in by_folder.items():
        stems_there[template].update(_stem(parts) for parts, _ in found)
    atoms: dict[Form, list[File]] = defaultdict(list)
    for (template, suffix), found in by_folder.items():
        own = {_stem(parts) for parts, _ in found}
        for form, file in _by_affix(template, suffix, found, stems_there[template] - own):
            atoms[form].append(file)
    return atoms


def _by_affix(
    template: tuple[str, ...], suffix: str, found: Sequence[tuple[Parts, str | None]], base: set[str]
) -> Iterator[tuple[Form, File]]:
    """Each file of a folder with the form without affixes, and with the form of its suffix or prefix, if it has one."""
    stems = sorted({_stem(parts) for parts, _ in found})
    yield from _in_channels(template, suffix, found)
    after, before = endings(stems, base), beginnings(stems, base)
    in_stem = {stem: split_in_stem(stem) for stem in stems}
    named = len({s[1] for s in in_stem.values() if s}) > 1 and all(in_stem.values())
    affixes, ends = (after, True) if any(after.values()) else (before, False)
    affixed = any(affixes.values())
    for parts, split in found:
        stem = _stem(parts)
        affix = affixes[stem]
        yield Form(template, "", "", suffix), File(parts, split, parts[:-1], stem)
        if affixed:
            core = stem[: len(stem) - len(affix)] if ends else stem[len(affix) :]
            sides = ("", affix) if ends else (affix, "")
            yield Form(template, *sides, suffix, "all" if affix else "rest"), File(parts, split, parts[:-1], core)
        if affix and ends:
            yield Form(template, "", "", suffix, "affixed"), File(parts, split, parts[:-1], stem)
        split_in_name = in_stem[stem]
        if split_in_name and (split is not None or named):
            word = "{any}" if split is not None else "{split}"
            before_word = word + split_in_name[2][:1] if split_in_name[2] else ""
            form = Form(template, before_word, "" if before_word else split_in_name[0][-1:] + word, suffix)
            yield (
                form,
                File(parts, split or split_in_name[1], parts[:-1], split_in_name[0][:-1] or split_in_name[2][1:]),
            )


def _in_channels(
    template: tuple[str, ...], suffix: str, found: Sequence[tuple[Parts, str | None]]
) -> Iterator[tuple[Form, File]]:
    """For images with one file per channel, the file of the first channel."""
    by_folder: dict[Parts, list[tuple[Parts, str | None]]] = defaultdict(list)
    for parts, split in found:
        by_folder[parts[:-1]].append((parts, split))
    for files in by_folder.values():
        channels = channel_endings([_stem(parts) for parts, _ in files])
        for parts, split in files:
            if channels and _stem(parts).endswith(channels[0]):
                core = _stem(parts)[: -len(channels[0])]
                form = Form(template, "", f"{channels[0][0]}{{channel}}", suffix)
                yield form, File(parts, split, parts[:-1], core)


def _stem(parts: Parts) -> str:
    name = parts[-1]
    return name[: len(name) - len(suffix_of(name))]


def _template(folder: Parts, crowded: set[Parts]) -> tuple[tuple[str, ...], str | None]:
    names: list[str] = []
    split = None
    for depth, name in enumerate(folder):
        split_in_name = split_of(name) if split is None else None
        if split_in_name:
            names.append(_NUMBERED.sub("{any}", escaped(split_in_name[0])))  # `a. Training Set` beside `b. Testing Set`
            split = split_in_name[1]
        else:
            names.append(ANY if folder[:depth] in crowded else literal(name))
    return tuple(names), split


def _crowded(pictures: Sequence[Parts]) -> set[Parts]:
    """Folders with many subfolders."""
    children: dict[Parts, set[str]] = defaultdict(set)
    for parts in pictures:
        for depth in range(len(parts) - 1):
            children[parts[:depth]].add(parts[depth])
    return {folder for folder, names in children.items() if len(names) > _MANY_SIBLINGS}


def _looked_at(tree: Tree, atoms: dict[Form, list[File]]) -> dict[Form, list[Content]]:
    """The contents of a few evenly spaced files per atom; fewer if there are many atoms."""
    each = max(1, min(4, _LOOKS // max(1, len(atoms))))
    step = max(1, len(atoms) // _LOOKS)
    looked = {}
    for number, (form, files) in enumerate(atoms.items()):
        if number % step == 0:
            chosen = files[:: max(1, len(files) // each)][:each]
            looked[form] = [c for file in chosen if (c := look(tree.path(file.parts))) is not None]
    return looked
