"""Pairs images with masks, by the text matched by wildcards or by an unambiguous prefix or suffix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from segengine.data.sources.patterns import Match
from segengine.data.sources.records import listed
from segengine.errors import DataError, counted

Key = tuple[str | None, tuple[str, ...]]


@dataclass(frozen=True)
class Pairs:
    """`pairs` of (image, mask); files without a partner; `rule`: how names differ ('' for equal names)."""

    pairs: tuple[tuple[Match, Match], ...]
    images_alone: tuple[Match, ...]
    masks_alone: tuple[Match, ...]
    rule: str = ""


def pair(images: Sequence[Match], masks: Sequence[Match]) -> Pairs:
    """Pair by equal keys or, if no keys are equal, by a common prefix or suffix if exactly one rule fits.

    Raises:
        DataError: two files with the same key, or several equally good rules.
    """
    split_in_both = any(match.split for match in images) and any(match.split for match in masks)
    by_image, by_mask = _by_key(images, "image", split_in_both), _by_key(masks, "mask", split_in_both)
    renamed: Mapping[Key, Key] = {key: key for key in by_mask}
    rule = ""
    if images and masks and not by_image.keys() & by_mask.keys():
        rule, renamed = _inferred(by_image.keys(), by_mask.keys())
    partners = {renamed[key]: key for key in by_mask if key in renamed and renamed[key] in by_image}
    used = set(partners.values())
    return Pairs(
        tuple((match, by_mask[partners[key]]) for key, match in by_image.items() if key in partners),
        tuple(match for key, match in by_image.items() if key not in partners),
        tuple(match for key, match in by_mask.items() if key not in used),
        rule,
    )


def _by_key(matches: Iterable[Match], what: str, with_split: bool) -> dict[Key, Match]:
    found: dict[Key, Match] = {}
    for match in matches:
        key = (match.split if with_split else None, match.key)
        if key in found:
            raise DataError(
                f"two {what}s would pair the same way: {found[key].path} and {match.path}; "
                f"remove one, or write a {what}s: pattern that matches only one of them"
            )
        found[key] = match
    return found


def _inferred(images: Iterable[Key], masks: Iterable[Key]) -> tuple[str, Mapping[Key, Key]]:
    """A rule in words, and mask key -> image key; an empty mapping if no rule fits."""
    image_keys, mask_keys = list(images), list(masks)
    if any(not key[1] for key in (*image_keys, *mask_keys)) or len({len(k[1]) for k in (*image_keys, *mask_keys)}) > 1:
        return "", {}
    for find in (_mask_affixes, _image_affixes):
        rules = find(image_keys, mask_keys)
        if rules:
            return _unambiguous(rules)
    return _both_affixes(image_keys, mask_keys)


def _mask_affixes(images: list[Key], masks: list[Key]) -> dict[str, dict[Key, Key]]:
    """Rules in which a mask's name is the image's name with a prefix or suffix."""
    rules: dict[str, dict[Key, Key]] = defaultdict(dict)
    for (before, after), pairs in _contained(images, masks).items():
        rules[f"{before}<image>{after}"] = {mask: image for image, mask in pairs}
    return rules


def _image_affixes(images: list[Key], masks: list[Key]) -> dict[str, dict[Key, Key]]:
    """Rules in which an image's name is the mask's name with a prefix or suffix."""
    rules: dict[str, dict[Key, Key]] = defaultdict(dict)
    for (before, after), pairs in _contained(masks, images).items():
        rules[f"images are {before}<mask>{after}"] = dict(pairs)
    return rules


def _contained(short: list[Key], long: list[Key]) -> dict[tuple[str, str], list[tuple[Key, Key]]]:
    """(prefix, suffix) -> pairs (short key, long key) whose last parts differ by exactly these."""
    by_start: dict[tuple[str | None, tuple[str, ...]], list[Key]] = defaultdict(list)
    for key in long:
        by_start[key[0], key[1][:-1]].append(key)
    names = {(key[0], key[1][:-1], key[1][-1]) for key in short}
    found: dict[tuple[str, str], list[tuple[Key, Key]]] = defaultdict(list)
    for (split, start), group in by_start.items():
        for key in group:
            name = key[1][-1]
            # The longest contained name wins: `11_mask` belongs to `11`, not to `1`.
            spans = ((i, j) for length in range(len(name) - 1, 0, -1) for i in range(len(name) - length + 1)
                     for j in [i + length])  # fmt: skip
            span = next((s for s in spans if (split, start, name[s[0] : s[1]]) in names), None)
            if span is not None:
                i, j = span
                found[name[:i], name[j:]].append(((split, (*start, name[i:j])), key))
    return found


def _unambiguous(rules: Mapping[str, dict[Key, Key]]) -> tuple[str, Mapping[Key, Key]]:
    ranked = sorted(rules.items(), key=lambda rule: (-len(rule[1]), rule[0]))
    best, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    if second is not None and len(second[1]) * 2 > len(best[1]):
        fits = listed([f"'{rule}' ({counted(len(pairs), 'mask')})" for rule, pairs in ranked], 3)
        raise DataError(f"several rules pair masks with images: {fits}; write a masks: pattern for one of them")
    return best


def _both_affixes(images: list[Key], masks: list[Key]) -> tuple[str, Mapping[Key, Key]]:
    """A rule in which images and masks each have their own common prefix and suffix (`21_training`, `21_manual1`)."""
    if len(images) < 2 or len(masks) < 2:
        return "", {}
    cores_i, affix_i = _cores(images)
    cores_m, affix_m = _cores(masks)
    common = cores_i.keys() & cores_m.keys()
    if 2 * len(common) <= min(len(images), len(masks)):
        return "", {}
    rule = f"{affix_i[0]}<name>{affix_i[1]} with {affix_m[0]}<name>{affix_m[1]}"
    return rule, {cores_m[core]: cores_i[core] for core in common}


def _cores(keys: list[Key]) -> tuple[dict[Key, Key], tuple[str, str]]:
    names = [key[1][-1] for key in keys]
    after = _common_start([name[::-1] for name in names])[::-1]
    before = _common_start([name[: len(name) - len(after)] for name in names])
    # Digits shared by all names belong to the name: cut after letters or separators.
    before = before.rstrip("0123456789")
    after = after.lstrip("0123456789")
    cores = {(k[0], (*k[1][:-1], k[1][-1][len(before) : len(k[1][-1]) - len(after)])): k for k in keys}
    return cores, (before, after)


def _common_start(names: Sequence[str]) -> str:
    low, high = min(names), max(names)
    return next((low[:i] for i, letter in enumerate(low) if i >= len(high) or letter != high[i]), low)


def missing_partners(found: Pairs) -> str:
    """Files without a partner, in words: count and first names; '' for none."""
    parts = []
    for matches, has, lacks in ((found.images_alone, "image", "mask"), (found.masks_alone, "mask", "image")):
        if matches:
            verb = "has" if len(matches) == 1 else "have"
            names = listed([match.path.name for match in matches])
            parts.append(f"{counted(len(matches), has)} {verb} no {lacks} ({names})")
    return " and ".join(parts)
