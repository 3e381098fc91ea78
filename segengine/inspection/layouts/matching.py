"""Correspondence of the names of two families: which positions of their paths are equal, and the roles of the others."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

from segengine.data.sources.patterns import literal
from segengine.inspection.layouts.families import Family, File
from segengine.inspection.layouts.names import common_affixes

Role = Literal["key", "any", "class", "object", "channel"]
_TRIED = 200
_MOST_CLASSES = 40


@dataclass(frozen=True)
class Side:
    """One family in a match: the role of each wildcard position of its folder and of its stem, and the affixes of the stem."""

    family: Family
    roles: tuple[Role, ...]
    before: str = ""
    after: str = ""

    def pattern(self) -> str:
        """The family as a pattern of the source `folders`."""
        form = self.family.form
        wild = form.wild()
        names = [_PLACEHOLDERS[self.roles[wild.index(i)]] if i in wild else n for i, n in enumerate(form.folder)]
        affixes = [a if "{" in a and a.strip("_-. ") in _MARKERS else literal(a) for a in (form.before, form.after)]
        stem = affixes[0] + literal(self.before) + _PLACEHOLDERS[self.roles[-1]] + _remainder(self.after) + affixes[1]
        ends_free = stem.endswith(("*", "}"))
        return "/".join([*names, stem + (form.suffix or ("" if ends_free else ".*"))])

    def key(self, file: File, cut: tuple[int, int]) -> tuple[str, ...]:
        """The texts at positions with the role `key`; `cut` is the number of affix characters at both ends of the stem."""
        wild = self.family.form.wild()
        name = file.core[cut[0] : len(file.core) - cut[1]]
        values = [*(file.folder[i] for i in wild), name]
        return tuple(value for value, role in zip(values, self.roles, strict=True) if role == "key")


_PLACEHOLDERS: dict[Role, str] = {
    "key": "*",
    "any": "{any}",
    "class": "{class}",
    "object": "{object}",
    "channel": "{channel}",
}
_MARKERS = ("{any}", "{split}", "{channel}")


def _remainder(text: str) -> str:
    """An affix as a pattern; placeholders are kept."""
    return "".join(
        p if re.fullmatch(r"\{(class|object|channel|any)\}", p) else literal(p) for p in re.split(r"(\{[a-z]+\})", text)
    )


@dataclass(frozen=True, eq=False)
class Matched:
    """Images with their masks: `pairs` (image, its masks), files without a partner, and both sides."""

    images: Side
    masks: Side
    pairs: tuple[tuple[File, tuple[File, ...]], ...]
    images_alone: tuple[File, ...]
    masks_alone: tuple[File, ...]

    @property
    def parts(self) -> Literal["", "class", "object"]:
        """The meaning of several masks per image; '' if there is one per image."""
        pattern = self.masks.pattern()
        return "class" if "{class}" in pattern else "object" if "{object}" in pattern else ""


def match(images: Family, masks: Family) -> Matched | None:
    """The best correspondence of two families; None if fewer than half of the files of one have a partner."""
    best: Matched | None = None
    for image_side, mask_side, cuts in _alignments(images, masks):
        if best is not None and len(best.pairs) >= 0.9 * len(images.files):
            break
        found = _joined(image_side, mask_side, cuts)
        if found is not None and (best is None or len(found.pairs) > len(best.pairs)):
            best = found
    if best is None:
        best = _contained(images, masks)
    return best


def _alignments(images: Family, masks: Family) -> Iterator[tuple[Side, Side, tuple[tuple[int, int], tuple[int, int]]]]:
    """Candidate sets of key positions, all positions first; with complete stems, and with stems without common affixes."""
    of_images, of_masks = len(images.form.wild()) + 1, len(masks.form.wild()) + 1
    affixes = [family.affixes for family in (images, masks)]
    trimmed = [("", ""), ("", "")] if affixes == [("", "")] * 2 else affixes
    for length in range(min(of_images, of_masks), 0, -1):
        for chosen_i, chosen_m in product(
            combinations(range(of_images), length), combinations(range(of_masks), length)
        ):
            for pair in ([("", ""), ("", "")], trimmed) if trimmed != [("", "")] * 2 else ([("", ""), ("", "")],):
                sides = [
                    Side(family, tuple("key" if i in chosen else "any" for i in range(count)), *affix)
                    for family, chosen, count, affix in (
                        (images, chosen_i, of_images, pair[0]), (masks, chosen_m, of_masks, pair[1]),
                    )
                ]  # fmt: skip
                cuts = [(len(before), len(after)) for before, after in pair]
                yield sides[0], sides[1], (cuts[0], cuts[1])


def _joined(images: Side, masks: Side, cuts: tuple[tuple[int, int], tuple[int, int]]) -> Matched | None:
    with_split = all("{split}" in side.family.form.before + side.family.form.after + "/".join(side.family.form.folder)
                     for side in (images, masks))  # fmt: skip
    by_key: dict[tuple[str | None, ...], list[File]] = defaultdict(list)
    for file in masks.family.files:
        by_key[(file.split if with_split else None, *masks.key(file, cuts[1]))].append(file)
    keys = [(f.split if with_split else None, *images.key(f, cuts[0])) for f in images.family.files]
    if not any(key in by_key for key in keys[:: max(1, len(keys) // _TRIED)]):
        return None
    if len(set(keys)) < len(keys) or any(key[-1] == "" for key in keys):
        return None  # these positions don't distinguish images
    return _matched(images, masks, list(zip(images.family.files, keys, strict=True)), by_key)


def _matched(
    images: Side,
    masks: Side,
    keyed: Sequence[tuple[File, tuple[str | None, ...]]],
    by_key: dict[tuple[str | None, ...], list[File]],
) -> Matched | None:
    pairs = tuple((file, tuple(by_key[key])) for file, key in keyed if key in by_key)
    used = {key for _, key in keyed}
    alone = tuple(f for key, files in by_key.items() if key not in used for f in files)
    if 2 * len(pairs) < len(keyed) and 2 * len(pairs) < len(by_key):
        return None
    several = any(len(files) > 1 for _, files in pairs)
    if several:
        roles = _roles(masks, [files for _, files in pairs])
        if roles is None:
            return None
        masks = Side(masks.family, roles, masks.before, masks.after)
    return Matched(images, masks, pairs, tuple(f for f, key in keyed if key not in by_key), alone)


def _roles(masks: Side, groups: Sequence[Sequence[File]]) -> tuple[Role, ...] | None:
    """Roles of the other positions: `class` if few words recur in all images, else `object`."""
    wild = masks.family.form.wild()
    columns = [[[f.folder[i] for f in group] for group in groups] for i in wild] + [
        [[f.core for f in g] for g in groups]
    ]
    roles = list(masks.roles)
    free = [i for i, role in enumerate(roles) if role == "any"]
    named = next((i for i in free if recurring(columns[i])), None)
    if named is not None:
        roles[named] = "class"
    elif free:
        roles[free[-1]] = "object"
    else:
        return None
    return tuple(roles)


def recurring(values: Sequence[Sequence[str]]) -> bool:
    """Whether the values are few words that recur in several images."""
    counts = Counter(value for group in values for value in set(group))
    lettered = all(re.search(r"[^\W\d_]", value) for value in counts)
    often = sum(n >= 2 for n in counts.values()) >= 0.5 * len(counts)
    return lettered and 1 < len(counts) <= _MOST_CLASSES and (often or len(values) == 1)


def _contained(images: Family, masks: Family) -> Matched | None:
    """Masks whose name is an image's name with a prefix or suffix that varies between masks."""
    if len(images.form.wild()) != len(masks.form.wild()) and images.form.wild() and masks.form.wild():
        return None
    wild = images.form.wild() if masks.form.wild() else ()
    if images.form.wild() and not wild:
        return None
    names = {(*(f.folder[i] for i in images.form.wild()), f.core): f for f in images.files}
    if len(names) < len(images.files):
        return None
    found: dict[File, list[tuple[File, str]]] = defaultdict(list)
    alone = []
    for file in masks.files:
        start = tuple(file.folder[i] for i in masks.form.wild()) if wild else ()
        hit = _longest_start(names, start, file.core)
        if hit is None:
            alone.append(file)
        else:
            found[hit[0]].append((file, hit[1]))
    if 2 * len(found) < len(images.files) or len(alone) > len(masks.files) / 2:
        return None
    after = _template([[rest for _, rest in group] for group in found.values()])
    if after is None:
        return None
    keys: list[Role] = ["key" for _ in wild]
    key: tuple[Role, ...] = ("key", *keys)
    skipped: list[Role] = ["any" for _ in masks.form.wild()]
    loose: tuple[Role, ...] = (*skipped, "key")
    side = Side(masks, key if wild else loose, "", after)
    pairs = tuple((image, tuple(f for f, _ in group)) for image, group in found.items())
    rest = tuple(f for f in images.files if f not in found)
    return Matched(Side(images, key), side, pairs, rest, tuple(alone))


def _longest_start(names: dict[tuple[str, ...], File], start: tuple[str, ...], core: str) -> tuple[File, str] | None:
    for cut in range(len(core) - 1, 0, -1):
        if core[cut] in "_-. " or core[cut - 1] in "_-. ":
            image = names.get((*start, core[:cut]))
            if image is not None:
                return image, core[cut:]
    return None


def _template(groups: Sequence[Sequence[str]]) -> str | None:
    """The suffix of the images' names with placeholders for its variable parts: `-{class}-{any}`, `_{object}`."""
    rests = [rest for group in groups for rest in group]
    split = [re.split(r"([_\-. ]+)", rest) for rest in rests]
    several = any(len(group) > 1 for group in groups)
    if len({len(tokens) for tokens in split}) == 1 and all(t[1::2] == split[0][1::2] for t in split):
        columns = [[re.split(r"([_\-. ]+)", rest)[i] for rest in rests] for i in range(len(split[0]))]
        text, named = "", False
        for i, column in enumerate(columns):
            if len(set(column)) == 1:
                text += column[0]
                continue
            per_group = [[re.split(r"([_\-. ]+)", rest)[i] for rest in group] for group in groups]
            is_class = several and not named and recurring(per_group)
            text += "{class}" if is_class else "{any}"
            named = named or is_class
        if several and not named:
            before, marker, after = text.rpartition("{any}")
            return f"{before}{{object}}{after}" if marker else None
        return text
    shared = common_affixes(set(rests))[0] or next((rests[0] for rest in rests if rest != rests[0]), "")[:1]
    if shared and all(rest.startswith(shared) for rest in rests):
        return shared + ("{object}" if several else "{any}")
    return None
