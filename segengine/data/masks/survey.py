"""Survey of all masks in one pass: values, pixel counts and encoding; shapes of a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from segengine.data.files.decoding import Stored, decode
from segengine.data.files.parallel import Progress, in_threads
from segengine.data.masks.facts import codes_of, has_colours, mask_facts, raw_of
from segengine.data.masks.mapping import MaskEncoding, MaskFacts, MaskSurvey, ValueFound
from segengine.data.masks.shapes import Shapes, examined
from segengine.errors import DataError, counted


def survey_masks(
    paths: Sequence[Path],
    folder: Path,
    *,
    progress: Progress | None = None,
    read: Callable[[Path], Stored] = decode,
) -> MaskSurvey:
    """Survey the mask files.

    Args:
        paths: the mask files.
        folder: the folder of images and masks, which may contain `gray-values.txt`.
        progress: called with ("masks", done, total).
        read: decodes a mask whose shapes are examined.

    Raises:
        DataError: a corrupt mask, or masks with incompatible encodings.
    """
    masks = in_threads(mask_facts, paths, "masks", progress)
    encoding = common_encoding(masks)
    return summary(masks, encoding, examined(masks, read), folder)


def summary(masks: Sequence[MaskFacts], encoding: MaskEncoding, shapes: Shapes, folder: Path) -> MaskSurvey:
    """The survey of masks that share `encoding`, with the shapes of a sample."""
    colours = has_colours(masks)
    codes = [codes_of(facts, colours=colours) for facts in masks]
    every, first, inverse = np.unique(np.concatenate(codes), return_index=True, return_inverse=True)
    files = np.bincount(inverse)
    pixels = np.zeros(len(every), np.int64)
    np.add.at(pixels, inverse, np.concatenate([facts.pixels for facts in masks]))
    first_mask = np.searchsorted(np.cumsum([len(of) for of in codes]), first, side="right")
    found = {
        raw_of(code, colours=colours): ValueFound(
            n, in_files, str(masks[mask].path), round(n * shapes.solid.get(code, shapes.usual))
        )
        for code, n, in_files, mask in zip(
            every.tolist(), pixels.tolist(), files.tolist(), first_mask.tolist(), strict=True
        )
    }
    evidence = replace(shapes.evidence, jpeg=sum(facts.lossy for facts in masks))
    return MaskSurvey(encoding, found, folder, tuple(masks), evidence)


def common_encoding(masks: Sequence[MaskFacts]) -> MaskEncoding:
    """The common encoding of all masks.

    Raises:
        DataError: stored values have different meanings in different masks.
    """
    first: dict[str, Path] = {}
    kinds: Counter[str] = Counter()
    for facts in masks:
        # At low bit depths a gray value has another meaning (1 of 1 bit is white), unless all is 0; indices keep theirs.
        few_bits = facts.encoding.bits < 8 and facts.encoding.kind == "gray" and bool(facts.values.any())
        few = f"{facts.encoding.bits}-bit " if few_bits else ""
        kind = f"{few}{facts.encoding.kind}"
        kinds[kind] += 1
        first.setdefault(kind, facts.path)
    empty = [facts for facts in masks if facts.encoding.kind == "gray" and not facts.values.any()]
    if len(kinds) > 1 and "gray" in kinds and kinds["gray"] == len(empty) and not kinds.keys() & {"palette"}:
        kinds.pop("gray")
    if len(kinds) > 1 and not set(kinds) <= {"rgb", "gray"}:
        ways = " and ".join(f"{counted(n, 'mask')} {kind} (first {first[kind]})" for kind, n in kinds.most_common())
        raise DataError(f"masks are stored in different ways: {ways}; export all with the same encoding")
    suffixes = Counter(facts.encoding.suffix for facts in masks)
    suffix = min(suffixes, key=lambda s: (-suffixes[s], s))
    encodings = [facts.encoding for facts in masks if facts.values.any()] or [masks[0].encoding]
    channels = max(e.channels for e in encodings)
    if "rgb" in kinds:
        return MaskEncoding("rgb", 8, None, suffix if suffix != ".gif" else ".png", 3)
    bits = max(e.bits for e in encodings)
    return MaskEncoding(encodings[0].kind, bits, _common_palette(masks), suffix, channels)


def _common_palette(masks: Sequence[MaskFacts]) -> tuple[tuple[int, int, int], ...] | None:
    seen: dict[int, tuple[tuple[int, int, int], Path]] = {}
    longest: tuple[tuple[int, int, int], ...] | None = None
    for facts in masks:
        palette = facts.encoding.palette
        if palette is None:
            return None
        if longest is None or len(palette) > len(longest):
            longest = palette
        for index in (int(v) for v in facts.values[0]):
            colour = palette[index] if index < len(palette) else (0, 0, 0)
            other, path = seen.setdefault(index, (colour, facts.path))
            if other != colour:
                raise DataError(
                    f"{facts.path}: palette index {index} is colour {list(colour)} here and {list(other)} in {path}, "
                    "so indices differ in meaning between masks; save all masks with one palette, or as RGB"
                )
    return longest
