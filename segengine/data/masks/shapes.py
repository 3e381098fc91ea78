"""Shape statistics of mask values, from a bounded sample drawn by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segengine.data.files.decoding import Stored
from segengine.data.files.parallel import Progress, in_threads
from segengine.data.files.reading import mask_values
from segengine.data.masks.facts import codes_of, count_values, has_colours, histogram, packed
from segengine.data.masks.mapping import Evidence, MaskFacts

MOST_EXAMINED = 256
"""Maximum number of masks whose shapes are examined; values are counted in all masks."""

_MANY = 6
_VOID = 255
_MOST_PARTS = 16


@dataclass(frozen=True)
class Shapes:
    """Statistics of the sample: `evidence`, and per value (colours packed) the share of its pixels that are solid.

    A pixel is solid if its 3x3 neighbourhood has only its value. `usual` is that share over all values, used for values
    that do not occur in the sample.
    """

    evidence: Evidence = field(default_factory=Evidence)
    solid: dict[int, float] = field(default_factory=dict)
    usual: float = 0.0


def sample(masks: Sequence[MaskFacts], most: int = MOST_EXAMINED) -> list[MaskFacts]:
    """At most `most` masks of different content, independent of their names and order.

    The first half has the smallest digests, which is a random draw; then follow, in digest order, masks with a value not
    yet in the sample, and then the next digests until the sample is full.
    """
    distinct = {facts.digest or str(facts.path): facts for facts in masks}
    ordered = [distinct[digest] for digest in sorted(distinct)]
    if len(ordered) <= most:
        return ordered
    chosen, rest = ordered[: most // 2], []
    covered = {code for facts in chosen for code in codes_of(facts).tolist()}
    for facts in ordered[most // 2 :]:
        codes = set(codes_of(facts).tolist())
        if codes <= covered or len(chosen) == most:
            rest.append(facts)
        else:
            chosen.append(facts)
            covered |= codes
    return [*chosen, *rest[: most - len(chosen)]]


def examined(masks: Sequence[MaskFacts], read: Callable[[Path], Stored], progress: Progress | None = None) -> Shapes:
    """Shape statistics of a sample of `masks`; `read` decodes a file."""
    colours = has_colours(masks)
    looks = in_threads(lambda facts: _look(facts.path, read, colours), sample(masks), "mask shapes", progress)
    solid: dict[int, int] = {}
    seen: dict[int, int] = {}
    for look in looks:
        for code, pixels, inside in zip(look.codes, look.pixels, look.solid, strict=True):
            seen[code] = seen.get(code, 0) + pixels
            solid[code] = solid.get(code, 0) + inside
    evidence = Evidence(0, *np.sum([look.sums for look in looks], axis=0).tolist())
    usual = sum(solid.values()) / max(1, sum(seen.values()))
    return Shapes(evidence, {code: solid[code] / seen[code] for code in seen}, usual)


def contents(masks: Sequence[MaskFacts]) -> str:
    """SHA-256 over the digests of all masks: the cache key of `examined`."""
    return hashlib.sha256("\n".join(sorted(facts.digest for facts in masks)).encode()).hexdigest()


@dataclass(frozen=True)
class _Look:
    codes: list[int]
    pixels: list[int]
    solid: list[int]
    sums: tuple[int, ...]


def _look(path: Path, read: Callable[[Path], Stored], colours: bool) -> _Look:
    """Statistics of one mask: values, solid pixels per value, and the fields of `Evidence` except the first."""
    raw = mask_values(read(path), path)
    codes, pixels = count_values(raw)
    if raw.ndim == 3:
        plane = np.searchsorted(codes, packed(raw)).astype(np.uint16)
        return _Look(codes.tolist(), pixels.tolist(), _solid(plane)[: len(codes)].tolist(), (0,) * 8)
    names = codes * 0x010101 if colours else codes
    return _Look(names.tolist(), pixels.tolist(), _solid(raw)[codes].tolist(), _sums(raw, codes))


def _solid(plane: NDArray[Any]) -> NDArray[np.int64]:
    """Number of solid pixels per value: the 3x3 neighbourhood has only that value."""
    kernel = np.ones((3, 3), np.uint8)
    return histogram(plane, (cv2.erode(plane, kernel) == cv2.dilate(plane, kernel)).view(np.uint8))


def _sums(raw: NDArray[Any], codes: NDArray[np.int64]) -> tuple[int, ...]:
    ring = contacts = pixels = thin = 0
    if _VOID in codes and len(codes) > 2:
        for one, two in ((raw[:, :-1], raw[:, 1:]), (raw[:-1], raw[1:])):
            differ = one != two
            with_void = int(np.count_nonzero(differ & ((one == _VOID) | (two == _VOID))))
            ring, contacts = ring + with_void, contacts + int(np.count_nonzero(differ)) - with_void
        void = (raw == _VOID).astype(np.uint8)
        pixels = int(void.sum())
        thin = pixels - int(cv2.erode(void, np.ones((7, 7), np.uint8)).sum())
    if len(codes) < _MANY:
        return ring, contacts, pixels, thin, 0, 0, 0, 0
    above = codes[codes > 0]
    numbered = int(above.max() <= 1.25 * len(above))
    checked = above[:: max(1, len(above) // _MOST_PARTS)]
    return ring, contacts, pixels, thin, 1, numbered, len(checked), _single(raw, checked)


def _single(raw: NDArray[Any], values: NDArray[np.int64]) -> int:
    """Number of values that form one connected component (8-connectivity; specks below 1 % are ignored)."""
    single = 0
    for value in values:
        shape = (raw == value).view(np.uint8)
        left, top, width, height = cv2.boundingRect(shape)
        inside = np.ascontiguousarray(shape[top : top + height, left : left + width])
        _, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        single += int(areas.max() >= 0.99 * areas.sum())
    return single
