"""One pass over all masks: which values they hold, how often, how they are stored, and what their shapes tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segengine.data.files.decoding import decode
from segengine.data.files.parallel import Progress, in_threads
from segengine.data.files.reading import mask_encoding, mask_values
from segengine.data.masks.mapping import Evidence, MaskEncoding, MaskFacts, MaskSurvey, Raw, ValueFound
from segengine.data.sources.records import counted
from segengine.errors import DataError

MANY = 6
_VOID = 255
_MOST_PARTS = 16
_MOST_COLOURS = 4096


@dataclass(frozen=True, eq=False)
class _Look:
    facts: MaskFacts
    encoding: MaskEncoding
    solid: NDArray[np.int64]
    evidence: Evidence


def survey_masks(paths: Sequence[Path], folder: Path, *, progress: Progress | None = None) -> MaskSurvey:
    """What all masks hold.

    Args:
        paths: the mask files.
        folder: the folder that holds images and masks, where `gray-values.txt` stands.
        progress: called with ("masks", done, total).

    Raises:
        DataError: a broken mask, or masks stored in ways that don't fit each other.
    """
    looks = in_threads(look_at, paths, "masks", progress)
    encoding = common_encoding(looks)
    colours = encoding.kind == "rgb"
    found: dict[Raw, ValueFound] = {}
    for look in looks:
        for raw, pixels, solid in zip(_raws(look.facts.values, colours), look.facts.pixels, look.solid, strict=True):
            old = found.get(raw)
            if old is None:
                found[raw] = ValueFound(int(pixels), 1, str(look.facts.path), int(solid))
            else:
                found[raw] = ValueFound(old.pixels + int(pixels), old.files + 1, old.first_file, old.solid + int(solid))
    evidence = Evidence(*(sum(getattr(look.evidence, f.name) for look in looks) for f in fields(Evidence)))
    values = {raw: found[raw] for raw in sorted(found)}
    return MaskSurvey(encoding, values, folder, tuple(look.facts for look in looks), evidence)


def look_at(path: Path) -> _Look:
    """One mask: its values, where they are solid, and what its shapes tell."""
    stored = decode(path)
    raw = mask_values(stored, path)
    encoding = mask_encoding(stored, raw, path.suffix)
    if raw.ndim == 3:
        packed = (raw[:, :, 0].astype(np.uint32) << 16) | (raw[:, :, 1].astype(np.uint32) << 8) | raw[:, :, 2]
        codes, flat = np.unique(packed, return_inverse=True)
        if len(codes) > _MOST_COLOURS:
            raise DataError(
                f"{path}: holds {len(codes):,} colours; is this a picture and not a mask? Correct data.source.masks"
            )
        pixels = np.bincount(flat.ravel(), minlength=len(codes))
        values = np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=1).astype(np.uint8)[None]
        solid = _solid(flat.reshape(packed.shape).astype(np.uint16), len(codes))
    else:
        counts = np.bincount(raw.ravel())
        codes = np.flatnonzero(counts)
        pixels, values = counts[codes], codes.astype(raw.dtype)[None]
        solid = _solid(raw, len(counts))[codes]
    facts = MaskFacts(path, raw.shape[0], raw.shape[1], values, pixels.astype(np.int64))
    evidence = _evidence(raw, codes) if raw.ndim == 2 else Evidence()
    return _Look(facts, encoding, solid, _with_jpeg(evidence) if stored.lossy else evidence)


def _with_jpeg(evidence: Evidence) -> Evidence:
    return Evidence(1, *(getattr(evidence, f.name) for f in fields(Evidence)[1:]))


def _solid(plane: NDArray[Any], size: int) -> NDArray[np.int64]:
    """How many pixels of each value have that value only in their 3x3 neighbourhood."""
    kernel = np.ones((3, 3), np.uint8)
    inside = cv2.erode(plane, kernel) == cv2.dilate(plane, kernel)
    return np.bincount(plane[inside], minlength=size).astype(np.int64)


def _evidence(raw: NDArray[Any], codes: NDArray[np.int64]) -> Evidence:
    ring = contacts = pixels = thin = 0
    if _VOID in codes and len(codes) > 2:
        for one, two in ((raw[:, :-1], raw[:, 1:]), (raw[:-1], raw[1:])):
            differ = one != two
            with_void = int(np.count_nonzero(differ & ((one == _VOID) | (two == _VOID))))
            ring, contacts = ring + with_void, contacts + int(np.count_nonzero(differ)) - with_void
        void = (raw == _VOID).astype(np.uint8)
        pixels = int(void.sum())
        thin = pixels - int(cv2.erode(void, np.ones((7, 7), np.uint8)).sum())
    if len(codes) < MANY:
        return Evidence(0, ring, contacts, pixels, thin)
    above = codes[codes > 0]
    numbered = int(above.max() <= 1.25 * len(above))
    checked = above[:: max(1, len(above) // _MOST_PARTS)]
    return Evidence(0, ring, contacts, pixels, thin, 1, numbered, len(checked), _single(raw, checked))


def _single(raw: NDArray[Any], values: NDArray[np.int64]) -> int:
    """How many of the values form one connected piece (8 neighbours; specks of a percent don't count)."""
    single = 0
    for value in values:
        shape = (raw == value).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(shape, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        single += int(areas.max() >= 0.99 * areas.sum())
    return single


def _raws(values: NDArray[Any], colours: bool) -> Iterable[Raw]:
    if values.ndim == 3:
        return [(int(r), int(g), int(b)) for r, g, b in values[0]]
    return [(int(v), int(v), int(v)) if colours else int(v) for v in values[0]]


def common_encoding(looks: Sequence[_Look]) -> MaskEncoding:
    """The encoding that all masks share.

    Raises:
        DataError: masks whose stored values don't mean the same.
    """
    first: dict[str, Path] = {}
    kinds: Counter[str] = Counter()
    for look in looks:
        # Few bits change what a gray value means (1 of 1 bit is white), unless all is 0; indices stay indices.
        few_bits = look.encoding.bits < 8 and look.encoding.kind == "gray" and bool(look.facts.values.any())
        few = f"{look.encoding.bits}-bit " if few_bits else ""
        kind = f"{few}{look.encoding.kind}"
        kinds[kind] += 1
        first.setdefault(kind, look.facts.path)
    empty = [look for look in looks if look.encoding.kind == "gray" and not look.facts.values.any()]
    if len(kinds) > 1 and "gray" in kinds and kinds["gray"] == len(empty) and not kinds.keys() & {"palette"}:
        kinds.pop("gray")
    if len(kinds) > 1 and not set(kinds) <= {"rgb", "gray"}:
        ways = " and ".join(f"{counted(n, 'mask')} {kind} (first {first[kind]})" for kind, n in kinds.most_common())
        raise DataError(
            f"masks are stored in different ways: {ways}; export all the same way, so that values mean the same"
        )
    suffixes = Counter(look.encoding.suffix for look in looks)
    suffix = min(suffixes, key=lambda s: (-suffixes[s], s))
    encodings = [look.encoding for look in looks if look.facts.values.any()] or [looks[0].encoding]
    channels = max(e.channels for e in encodings)
    if "rgb" in kinds:
        return MaskEncoding("rgb", 8, None, suffix if suffix != ".gif" else ".png", 3)
    bits = max(e.bits for e in encodings)
    return MaskEncoding(encodings[0].kind, bits, _common_palette(looks), suffix, channels)


def _common_palette(looks: Sequence[_Look]) -> tuple[tuple[int, int, int], ...] | None:
    seen: dict[int, tuple[tuple[int, int, int], Path]] = {}
    longest: tuple[tuple[int, int, int], ...] | None = None
    for look in looks:
        palette = look.encoding.palette
        if palette is None:
            return None
        if longest is None or len(palette) > len(longest):
            longest = palette
        for index in (int(v) for v in look.facts.values[0]):
            colour = palette[index] if index < len(palette) else (0, 0, 0)
            other, path = seen.setdefault(index, (colour, look.facts.path))
            if other != colour:
                raise DataError(
                    f"{look.facts.path}: palette index {index} is colour {list(colour)} here and {list(other)} in {path}, "
                    "so indices don't mean the same in all masks; save all masks with one palette, or as RGB"
                )
    return longest
