"""Parts of file names: splits, words for images and masks, and suffixes that distinguish the files of one case."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from segengine.data.sources.patterns import ALIASES

IMAGE_WORDS = {
    "image", "images", "img", "imgs", "jpegimages", "leftimg8bit", "photo", "photos", "picture", "pictures", "pics", "rgb", "input",
    "inputs", "raw", "orig", "original", "originals", "scan", "scans", "frame", "frames", "sat", "x", "data", "im", "ims",
    "imagestr", "jpg", "tiles", "anon",
}  # fmt: skip
MASK_WORDS = {
    "mask", "masks", "label", "labels", "lbl", "lbls", "annot", "annotation", "annotations", "annots", "gt", "gts", "groundtruth",
    "groundtruths", "ground", "truth", "seg", "segs", "segmentation", "segmentations", "segmentationclass", "segmentationclassraw",
    "target", "targets", "manual", "manual1", "gtfine", "y", "labelids", "trainids", "l", "msk", "labelstr", "anno", "annos", "tag",
    "labeled", "labelled", "1stho", "classes",
}  # fmt: skip
DOUBTFUL_WORDS = {
    "instance", "instances", "instanceids", "panoptic", "color", "colors", "colour", "colours", "vis", "viz", "visualization", "overlay",
    "overlays", "edge", "edges", "depth", "disparity", "parts", "fov", "roi", "roimask", "preview", "previews", "confidence", "boundary",
    "segmentationobject", "superpixels", "thumbs", "thumbnails", "drivable", "lane", "pred", "preds", "prediction", "predictions",
    "contour", "contours", "weights", "heatmap",
}  # fmt: skip
"""Words of files that are neither images nor masks."""
_SEPARATORS = r"[_\-. ()\[\]+]+"
_INDEX = r"[_\-. ]*[A-Za-z]{0,2}[_\-. ]?[0-9]+[_\-. ]*|[_\-. ]*"
"""Suffixes that are only numbers, such as `_s013` and `-2`, or separators."""
_MOST_ENDINGS = 24
_MOST_CHANNELS = 16
_ALIASES = sorted((a for a in ALIASES if len(a) > 2), key=len, reverse=True)


def words(text: str) -> set[str]:
    """The lower-case words of a name, split at separators and camel case (`gtFine_labelIds`)."""
    parts = [part for part in re.split(_SEPARATORS, text) if part]
    camel = [w for part in parts for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+", part)]
    letters = [re.sub(r"[0-9]+", "", part) for part in parts]
    return {word.lower() for word in (*parts, *camel, *letters) if word}


def split_of(name: str) -> tuple[str, str] | None:
    """(name with `{split}`, split) if a folder's name contains a split: `val`, `train_labels`, `imagesTr`."""
    if "{" in name:
        return None
    if name.lower() in ALIASES:
        return "{split}", ALIASES[name.lower()]
    for alias in _ALIASES:
        for match in re.finditer(re.escape(alias), name, re.IGNORECASE):
            before, after = name[: match.start()], name[match.end() :]
            apart = (not before or not before[-1].isalpha()) and (not after or not after[0].isalpha())
            joined = (before or after).lower().strip("_- ") in MASK_WORDS | IMAGE_WORDS and not (before and after)
            if apart or joined:
                return f"{before}{{split}}{after}", ALIASES[alias]
    if name[-2:] in ("Tr", "Ts") and name[:-2].lower() in MASK_WORDS | IMAGE_WORDS:
        return f"{name[:-2]}{{split}}", ALIASES[name[-2:].lower()]
    return None


def split_in_stem(stem: str) -> tuple[str, str, str] | None:
    """(before, split, after) if a word at the start or end of a file name is a split: `21_training`, `val-003`."""
    match = re.fullmatch(
        rf"(?:({'|'.join(_ALIASES)})([_\- .].+)|(.+[_\- .])({'|'.join(_ALIASES)}))", stem, re.IGNORECASE
    )
    if match is None:
        return None
    if match[1]:
        return "", ALIASES[match[1].lower()], match[2]
    return match[3], ALIASES[match[4].lower()], ""


def endings(stems: Sequence[str], base: Collection[str] = ()) -> dict[str, str]:
    """Stem -> its suffix ('' for none) that distinguishes files of one case: `_mask`, `_gtFine_labelIds`.

    A suffix is accepted if at least half of the names before it also occur with another suffix, in `base`, or as a stem.
    """
    cuts = {stem: _cuts(stem) for stem in stems}
    counts = Counter(stem[cut:] for stem in stems for cut in cuts[stem])
    least = max(2 if len(stems) > 2 else 1, len(stems) / 20)
    common = {ending for ending, n in counts.items() if n >= least and not re.fullmatch(_INDEX, ending)}
    have: dict[str, set[str]] = defaultdict(set)
    cores: dict[str, list[str]] = defaultdict(list)
    for stem in stems:
        have[stem].add("")
        for cut in cuts[stem]:
            if stem[cut:] in common:
                have[stem[:cut]].add(stem[cut:])
                cores[stem[cut:]].append(stem[:cut])
    valid = {
        ending for ending, of in cores.items()
        if 2 * sum(len(have[core]) > 1 or core in base for core in of) >= len(of)
    }  # fmt: skip
    if len(valid) > _MOST_ENDINGS:
        return dict.fromkeys(stems, "")
    return {stem: next((stem[c:] for c in sorted(cuts[stem], reverse=True) if stem[c:] in valid), "") for stem in stems}


def beginnings(stems: Sequence[str], base: Collection[str] = ()) -> dict[str, str]:
    """The same for prefixes: `mask_`, `img-`."""
    found = endings([stem[::-1] for stem in stems], {name[::-1] for name in base})
    return {stem: found[stem[::-1]][::-1] for stem in stems}


def channel_endings(stems: Sequence[str]) -> list[str]:
    """Sorted suffixes (`_0000`, `_0001`; `_B02`, `_B03`) that all names have: one file per channel."""
    found: dict[str, set[str]] = defaultdict(set)
    for stem in stems:
        match = re.fullmatch(r"(.+?)([_\-.][A-Za-z]{0,6}[0-9]{0,4})", stem)
        if match is None or len(match[2]) < 2:
            return []
        found[match[1]].add(match[2])
    sets = {frozenset(of) for of in found.values()}
    first = sorted(next(iter(sets))) if len(sets) == 1 else []
    return first if 2 <= len(first) <= _MOST_CHANNELS and len(found) > 1 else []


def common_affixes(stems: Collection[str]) -> tuple[str, str]:
    """Common prefix and suffix of all stems; digits at their inner ends belong to the name, not to the affix."""
    if len(stems) < 2:
        return "", ""
    low, high = min(stems), max(stems)
    before = _shared(low, high).rstrip("0123456789")
    rest = [stem[len(before) :] for stem in stems]
    backwards = [stem[::-1] for stem in rest]
    after = _shared(min(backwards), max(backwards))[::-1].lstrip("0123456789")
    return before, after


def _shared(low: str, high: str) -> str:
    return next((low[:i] for i, letter in enumerate(low) if i >= len(high) or letter != high[i]), low)


def _cuts(stem: str) -> list[int]:
    """Positions where a stem can be cut: before a separator, and between a digit and a letter."""
    return [
        i for i in range(1, len(stem))
        if (stem[i] in "_-. " and stem[i - 1] not in "_-. ") or (stem[i - 1].isdigit() and stem[i].isalpha())
        or (stem[i - 1].isalpha() and stem[i].isdigit())
    ]  # fmt: skip
