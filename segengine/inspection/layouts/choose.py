"""Selection of a hypothesis: several masks per image are distinguished by their contents; otherwise the user is asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean as mean

import numpy as np
from numpy.typing import NDArray

from segengine.errors import counted
from segengine.inspection.layouts.contents import Content, look
from segengine.inspection.layouts.families import File
from segengine.inspection.layouts.hypotheses import Hypothesis
from segengine.inspection.layouts.known import preference
from segengine.inspection.layouts.tree import Tree

_NEAR = 0.12
_AS_GOOD = 0.025
_SAMPLED = 6


@dataclass(frozen=True)
class Choice:
    """The selected hypothesis with notes, or `rivals` among which the user must choose, and `why`."""

    taken: Hypothesis | None
    notes: tuple[str, ...] = ()
    rivals: tuple[Hypothesis, ...] = ()
    why: str = ""


def plausible(hypothesis: Hypothesis) -> bool:
    """Whether contents or names indicate that the masks of a hypothesis are masks."""
    marks = hypothesis.marks
    return hypothesis.score >= 0.5 and (
        marks["contents"] >= 0.58 or (marks["names"] >= 0.7 and marks["contents"] >= 0.3)
    )


def choose(tree: Tree, hypotheses: Sequence[Hypothesis]) -> Choice:
    """Select a hypothesis, as far as the files determine it."""
    ranked = sorted((h for h in hypotheses if plausible(h)), key=lambda h: -(h.score + preference(h.images, h.masks)))
    if not ranked:
        return Choice(None, rivals=tuple(hypotheses[:3]), why="no files look like images and their masks")
    best = ranked[0]
    elsewhere = _another_set(tree, best, ranked)
    if elsewhere is not None:
        return Choice(None, rivals=(best, elsewhere), why="there are several sets of images with masks")
    same = [h for h in ranked if _same_images(h, best) and h.score + _NEAR >= best.score]
    if len({h.masks for h in same}) == 1:
        return Choice(best)
    if preference(best.images, best.masks) > 0:
        return Choice(best, tuple(_about_others(tree, best, same)))
    return _among_masks(tree, best, same)


def _about_others(tree: Tree, best: Hypothesis, same: Sequence[Hypothesis]) -> list[str]:
    """Notes on other possible masks, if the layout of a published data set determines the selection."""
    notes, plain = [], []
    for h in _different([best, *(h for h in same if h.masks != best.masks and not h.matched.parts)])[1:]:
        pairs = [(a, b) for a, b in zip(_mask_looks(tree, best), _mask_looks(tree, h), strict=False) if a and b]
        if is_field_of_view(tree, h):
            notes.append(f"{h.masks} is the same shape in all images: a field of view, not a ground truth")
        elif (
            pairs
            and all(b.two_valued for _, b in pairs)
            and mean(_overlap(a.foreground(), b.foreground()) for a, b in pairs) > 0.4
        ):
            notes.append(f"masks of several annotators: {best.masks} is used, {h.masks} is not")
        else:
            plain.append(h.masks)
    if plain:
        notes.append(
            f"of several kinds of masks, {best.masks} is used, as usual for this data set; not {', '.join(plain[:3])}"
        )
    return notes


def _same_images(one: Hypothesis, two: Hypothesis) -> bool:
    shared = len(one.image_files & two.image_files)
    return shared > 0.8 * max(len(one.image_files), len(two.image_files))


def _another_set(tree: Tree, best: Hypothesis, ranked: Sequence[Hypothesis]) -> Hypothesis | None:
    """An equally good hypothesis with other images and other masks; None if there is none."""
    best_files: set[str] | None = None
    for other in ranked[1:]:
        photos = other.matched.images.family.likeness < 0.5  # and not a second kind of masks
        rather = preference(best.images, best.masks) > preference(other.images, other.masks)
        if other.score + _NEAR < best.score or not photos or rather:
            continue
        best_files = best_files or _real_files(tree, best)
        other_files = _real_files(tree, other)
        if not best_files & other_files and len(other_files) >= len(best_files) / 2:
            return other
    return None


def _real_files(tree: Tree, hypothesis: Hypothesis) -> set[str]:
    """The files of a hypothesis, with links resolved."""
    return {
        os.path.realpath(tree.path(f.parts)) if tree.linked else "/".join(f.parts)
        for image, masks in hypothesis.matched.pairs
        for f in (image, *masks)
    }


def _among_masks(tree: Tree, best: Hypothesis, same: Sequence[Hypothesis]) -> Choice:
    """Select among several masks of the same images: parts to be merged, annotators, fields of view, or copies."""
    notes: list[str] = []
    kept = list(same)
    for h in same:
        if len(kept) > 1 and not h.matched.parts and is_field_of_view(tree, h):
            kept = [k for k in kept if k.masks != h.masks]
            notes.append(f"{h.masks} is one shape in all images: a field of view, no truth")
    if not kept:
        kept, notes = [best], []
    for h in [k for k in kept if k.matched.parts]:
        overlap = parts_overlap(tree, h)
        literal = [k for k in kept if not k.matched.parts]
        if overlap is None or (overlap > 0.4 and literal):
            kept = literal or kept
            if overlap is not None:
                first = min(literal, key=lambda k: k.masks)
                notes.append(f"masks of several annotators: the first, {first.masks}, is used")
                return Choice(first.with_note(notes[-1]), tuple(notes))
            continue
        return Choice(h, tuple(notes))
    best = kept[0]
    close = _different([k for k in kept if k.score + 2 * _AS_GOOD >= best.score])
    if len(close) > 1:
        return _of_equals(tree, close, notes)
    return Choice(best, tuple(notes))


def _different(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The hypotheses without those whose masks are the same files as in a better one."""
    kept: list[Hypothesis] = []
    for h in hypotheses:
        files = {f.parts for _, masks in h.matched.pairs for f in masks}
        if not any(files <= {f.parts for _, masks in k.matched.pairs for f in masks} for k in kept):
            kept.append(h)
    return kept


def _of_equals(tree: Tree, close: Sequence[Hypothesis], notes: list[str]) -> Choice:
    looks = {h.masks: _mask_looks(tree, h) for h in close}
    first, second = close[:2]
    pairs = [(a, b) for a, b in zip(looks[first.masks], looks[second.masks], strict=False) if a and b]
    if pairs and all(_same_areas(a, b) for a, b in pairs):
        simplest = min(
            close,
            key=lambda h: (mean(c.values for c in looks[h.masks] if c), mean(c.channels for c in looks[h.masks] if c)),
        )
        notes.append(f"several pictures show the same areas; {simplest.masks} has the fewest values and is used")
        return Choice(simplest, tuple(notes))
    if pairs and mean(_overlap(a.foreground(), b.foreground()) for a, b in pairs) > 0.4:
        taken = min(close, key=lambda h: h.masks)
        notes.append(f"masks of several annotators: the first, {taken.masks}, is used")
        return Choice(taken, tuple(notes))
    fewest = sorted(close, key=lambda h: mean(c.values for c in looks[h.masks] if c) if any(looks[h.masks]) else 999)
    few, many = (mean(c.values for c in looks[h.masks] if c) if any(looks[h.masks]) else 999 for h in fewest[:2])
    if many > 4 * few:
        notes.append(f"{fewest[0].masks} has few values and is used; {fewest[1].masks} may number objects")
        return Choice(fewest[0], tuple(notes))
    return Choice(None, tuple(notes), tuple(close[:3]), "several kinds of masks fit the same images")


def _mask_looks(tree: Tree, hypothesis: Hypothesis) -> list[Content | None]:
    return [look(tree.path(masks[0].parts)) for _, masks in _sampled(hypothesis)]


def _sampled(hypothesis: Hypothesis) -> Sequence[tuple[File, tuple[File, ...]]]:
    pairs = sorted(hypothesis.matched.pairs, key=lambda p: p[0].parts)
    return pairs[:: max(1, len(pairs) // _SAMPLED)][:_SAMPLED]


def _same_areas(one: Content, two: Content) -> bool:
    """Whether the values of one mask are a function of those of the other, pixel by pixel."""
    pairs = np.unique(np.stack([one.thumb.ravel(), two.thumb.ravel()]), axis=1)
    fewer = min(len(np.unique(one.thumb)), len(np.unique(two.thumb)))
    return (
        one.thumb.shape == two.thumb.shape
        and fewer > 1
        and pairs.shape[1] <= max(len(np.unique(one.thumb)), len(np.unique(two.thumb)))
    )


def _overlap(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    either = (one | two).sum()
    return float((one & two).sum() / either) if either else 0.0


def parts_overlap(tree: Tree, hypothesis: Hypothesis) -> float | None:
    """Overlap of the masks of one image, 0 (disjoint parts) to 1 (the same areas); None if they are not parts."""
    overlaps = []
    for _, masks in _sampled(hypothesis):
        looks = [c for f in masks[:8] if (c := look(tree.path(f.parts))) is not None]
        if not all(c.two_valued for c in looks):
            return None
        shapes = [c.foreground() for c in looks if c.gray.max() > 0]
        overlaps += [_overlap(a, b) for a, b in combinations(shapes, 2)]
    return mean(overlaps) if overlaps else 0.0


def is_field_of_view(tree: Tree, hypothesis: Hypothesis) -> bool:
    """Whether all masks show the same large shape, such as a circular field of view."""
    looks = [c for c in _mask_looks(tree, hypothesis) if c is not None]
    if len(looks) < 2 or not all(c.two_valued and c.values > 1 and c.channels == 1 for c in looks):
        return False
    shapes = [c.foreground() for c in looks]
    if mean(float(s.mean()) for s in shapes) < 0.3:
        return False
    return mean(_overlap(a, b) for a, b in combinations(shapes, 2)) > 0.93


def settings(tree: Tree, hypothesis: Hypothesis) -> tuple[dict[str, object], list[str]]:
    """Further settings of the source, each with its reason."""
    found = hypothesis.matched
    chosen: dict[str, object] = {}
    notes = []
    by_split: dict[str | None, list[File]] = {}
    for image, masks in found.pairs:
        by_split.setdefault(image.split or masks[0].split, []).append(masks[0])
    alone = list(found.images_alone)
    empty = {f.split for f in alone} - set(by_split)
    dummy = {s for s in ("test",) if len(by_split) > 1 and _all_one_value(tree, by_split.get(s, []))}
    used = [s for s in ("train", "validation", "test") if s in by_split and s not in dummy]
    if (empty - {None} or dummy) and used and None not in by_split:
        chosen["splits"] = used
        left_out = sorted(str(s) for s in (empty - {None}) | dummy)
        notes.append(
            f"{', '.join(left_out)} left out: {'its masks hold one value only' if dummy else 'it has no masks'}"
        )
        alone = [f for f in alone if f.split in used]
    if alone or found.masks_alone:
        chosen["unpaired"] = "skip"
        lacking = [(alone, "image", "mask"), (found.masks_alone, "mask", "image")]
        missing = [f"{counted(len(f), a)} {'has' if len(f) == 1 else 'have'} no {b}" for f, a, b in lacking if f]
        notes.append(f"{' and '.join(missing)}: left out")
    return chosen, notes


def _all_one_value(tree: Tree, files: Sequence[File]) -> bool:
    looks = [c for f in files[:: max(1, len(files) // 12)] if (c := look(tree.path(f.parts))) is not None]
    return len(looks) > 1 and all(c.values == 1 for c in looks)


def with_settings(hypothesis: Hypothesis, more: dict[str, object]) -> Hypothesis:
    """The hypothesis with additional settings of its source."""
    return replace(hypothesis, settings={**hypothesis.settings, **more})
