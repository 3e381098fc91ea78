"""Hypotheses about which files are images and which are their masks, with scores and evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean as mean
from typing import Any

from segengine.errors import counted
from segengine.inspection.layouts.contents import Content, look
from segengine.inspection.layouts.families import Family
from segengine.inspection.layouts.matching import Matched, match
from segengine.inspection.layouts.names import DOUBTFUL_WORDS, IMAGE_WORDS, MASK_WORDS
from segengine.inspection.layouts.tree import Tree

_SAMPLED_PAIRS = 4
WEIGHTS: Mapping[str, float] = {
    "images paired": 0.26,
    "masks paired": 0.14,
    "contents": 0.26,
    "names": 0.2,
    "sizes": 0.14,
}
"""Weight of each kind of evidence; the evidence is a number in 0..1."""
_EXPLAINED = 0.2
"""Weight of the fraction of all files that are part of a pair."""


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """Images and masks by patterns of the source `folders`; `score` 0 to 1 is the weighted mean of `marks`."""

    matched: Matched
    marks: Mapping[str, float]
    evidence: tuple[str, ...]
    score: float
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def images(self) -> str:
        """The pattern of the images."""
        return self.matched.images.pattern()

    @property
    def masks(self) -> str:
        """The pattern of the masks."""
        return self.matched.masks.pattern()

    @property
    def image_files(self) -> frozenset[tuple[str, ...]]:
        """Paths of the paired images."""
        return frozenset(image.parts for image, _ in self.matched.pairs)

    @property
    def mask_files(self) -> frozenset[tuple[str, ...]]:
        """Paths of the paired masks."""
        return frozenset(mask.parts for _, masks in self.matched.pairs for mask in masks)

    def document(self) -> dict[str, Any]:
        """The hypothesis as JSON-compatible data."""
        found = self.matched
        return {
            "images": self.images, "masks": self.masks, "score": round(self.score, 3), "pairs": len(found.pairs),
            "images_without_mask": len(found.images_alone), "masks_without_image": len(found.masks_alone),
            "several_masks": found.parts or None, "marks": {name: round(mark, 3) for name, mark in self.marks.items()},
            "evidence": list(self.evidence), "settings": dict(self.settings),
        }  # fmt: skip

    def with_note(self, note: str) -> Hypothesis:
        """The hypothesis with one more sentence of evidence."""
        return replace(self, evidence=(*self.evidence, note))


def search(tree: Tree, families: Sequence[Family]) -> list[Hypothesis]:
    """All matching pairs of families, most likely first."""
    found = []
    for images in families:
        for masks in families:
            if images is masks or images.likeness > masks.likeness + 0.25 or _share_files(images, masks):
                continue
            matched = match(images, masks)
            if matched is not None and matched.pairs:
                found.append(judge(tree, matched))
    found.sort(key=lambda h: (-h.score, len(h.masks), h.images, h.masks))
    return found


def _share_files(one: Family, two: Family) -> bool:
    small, large = sorted((one, two), key=lambda f: len(f.files))
    paths = {f.parts for f in large.files}
    return any(f.parts in paths for f in small.files) and "rest" not in (one.form.kind, two.form.kind)


def judge(tree: Tree, matched: Matched) -> Hypothesis:
    """A match with its score."""
    images, masks = matched.images.family, matched.masks.family
    pairs = matched.pairs[:: max(1, len(matched.pairs) // _SAMPLED_PAIRS)][:_SAMPLED_PAIRS]
    looks = [(look(tree.path(i.parts)), look(tree.path(m[0].parts))) for i, m in pairs]
    seen = [(i, m) for i, m in looks if i is not None and m is not None]
    of_images = len(matched.pairs) / max(1, len(matched.pairs) + len(matched.images_alone))
    with_mask = sum(len(files) for _, files in matched.pairs)
    of_masks = with_mask / max(1, with_mask + len(matched.masks_alone))
    contents, about = _contents(seen)
    names = _names(images, masks)
    same = mean(float((i.height, i.width) == (m.height, m.width)) for i, m in seen) if seen else 0.0
    marks = dict(zip(WEIGHTS, (of_images, of_masks, contents, names, same), strict=True))
    score = sum(WEIGHTS[name] * mark for name, mark in marks.items()) - 0.01 * _loose(matched)
    score += 0.01 * min(4, _shared_folders(images, masks))
    explained = min(1.0, 2 * len(matched.pairs) / max(1, len(tree.pictures)))
    score = (score + _EXPLAINED * explained) / (1 + _EXPLAINED)
    return Hypothesis(matched, marks, tuple(_words(matched, about, same, names)), max(0.0, score))


def _shared_folders(images: Family, masks: Family) -> int:
    """Number of common folders, from the root."""
    pairs = zip(images.form.folder, masks.form.folder, strict=False)
    return next(
        (i for i, (one, two) in enumerate(pairs) if one != two), min(len(images.form.folder), len(masks.form.folder))
    )


def _loose(matched: Matched) -> int:
    patterns = matched.images.pattern() + matched.masks.pattern()
    both = all("{split}" in side.pattern() for side in (matched.images, matched.masks))
    unnamed_split = sum("{split}" in side.pattern() for side in (matched.images, matched.masks)) == 1
    return patterns.count("{any}") + patterns.count("/*/") + 2 * unnamed_split - 2 * both


def _contents(seen: Sequence[tuple[Content, Content]]) -> tuple[float, str]:
    if not seen:
        return 0.0, "none of the files sampled can be decoded"
    image, mask = mean(i.likeness for i, _ in seen), mean(m.likeness for _, m in seen)
    values = sorted(m.values for _, m in seen)
    shown = f"{values[0]}" if values[0] == values[-1] else f"{values[0]} to {values[-1]}"
    about = f"masks hold {shown} values that fill {100 * mean(m.solid for _, m in seen):.0f} % of the area"
    return min(1.0, max(0.0, 0.5 + 0.6 * (mask - image))), about


def _names(images: Family, masks: Family) -> float:
    """How well the words in folders and affixes match the roles of both sides; common words are ignored."""
    of_images, of_masks = set(images.words), set(masks.words)
    of_images, of_masks = of_images - of_masks, of_masks - of_images
    score = 0.5
    score += 0.2 * bool(of_images & IMAGE_WORDS) - 0.25 * bool(of_images & MASK_WORDS) * (not of_images & IMAGE_WORDS)
    score += 0.3 * bool(of_masks & MASK_WORDS) - 0.25 * bool(of_masks & IMAGE_WORDS) * (not of_masks & MASK_WORDS)
    score -= 0.3 * bool((of_masks | of_images) & DOUBTFUL_WORDS)
    return max(0.0, score)


def _words(matched: Matched, about: str, same: float, names: float) -> list[str]:
    total = len(matched.pairs) + len(matched.images_alone)
    patterns = f"{matched.images.pattern()} with {matched.masks.pattern()}"
    lines = [f"{len(matched.pairs)} of {counted(total, 'image')} with a mask by name: {patterns}", about]
    if matched.masks_alone:
        lines.append(f"{counted(len(matched.masks_alone), 'mask')} without image")
    if matched.parts:
        lines.append(f"several masks per image, one per {matched.parts}")
    lines.append(
        "images and masks have the same size"
        if same == 1
        else f"{100 * (1 - same):.0f} % of the pairs sampled differ in size"
    )
    if names > 0.6:
        lines.append("the names of folders or files are those of images and masks")
    return lines
