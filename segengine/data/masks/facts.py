"""Facts of one mask file: size, raw values with pixel counts, and encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segengine.data.files.decoding import Stored, decode, file_bytes
from segengine.data.files.formats import suffix_of
from segengine.data.files.reading import NODATA_RAW, mask_encoding, mask_values
from segengine.data.masks.mapping import MaskEncoding, MaskFacts, Raw
from segengine.errors import DataError, counted

MISSING_NOTE = f"pixels without a value (NaN or nodata) are read as {NODATA_RAW}; ignore: [{NODATA_RAW}] ignores them"
_MOST_COLOURS = 4096
_EXACT = 2**24  # OpenCV counts in float32, which is exact up to this number
_encodings: dict[MaskEncoding, MaskEncoding] = {}  # one object per encoding: a palette takes 20 kB


def mask_facts(path: Path, decoded: Callable[[Path, bytes], Stored] = decode) -> MaskFacts:
    """The facts of a mask file; `decoded` decodes its content. Raises DataError for a corrupt file or a photograph."""
    content = file_bytes(path)
    return facts_of(path, decoded(path, content), hashlib.sha256(content).hexdigest())


def facts_of(path: Path, stored: Stored, digest: str) -> MaskFacts:
    """The facts of a decoded mask; `digest` is the SHA-256 of the file.

    Raises:
        DataError: too many colours for a mask, or values that are not valid in a mask.
    """
    raw = mask_values(stored, path)
    encoding = mask_encoding(stored, raw, suffix_of(path))
    encoding = _encodings.setdefault(encoding, encoding)
    codes, pixels = count_values(raw)
    if raw.ndim == 3 and len(codes) > _MOST_COLOURS:
        raise DataError(f"{path}: holds {len(codes):,} colours, too many for a mask; correct data.source.masks")
    values = unpacked(codes, raw.dtype, colours=raw.ndim == 3)
    absent = stored.missing is not None and raw.ndim == 2 and NODATA_RAW in codes
    notes = (*stored.notes, MISSING_NOTE) if absent else stored.notes
    return MaskFacts(path, raw.shape[0], raw.shape[1], values, pixels, encoding, stored.lossy, digest, notes)


def mask_notes(masks: Sequence[MaskFacts]) -> list[str]:
    """Remarks on how masks were read: one line per remark, with the number of masks and the first file."""
    found: dict[str, list[Path]] = {}
    for facts in masks:
        for note in facts.notes:
            found.setdefault(note, []).append(facts.path)
    return [f"{counted(len(paths), 'mask')} (first {paths[0]}): {note}" for note, paths in found.items()]


def count_values(raw: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct values of uint8/uint16 [H, W] or colours uint8 [H, W, 3], ascending, and their pixels, both int64 [n].

    Colours are packed: red * 65536 + green * 256 + blue.
    """
    if raw.ndim == 2:
        counts = histogram(raw)
        codes = np.flatnonzero(counts)
        return codes, counts[codes]
    flat = packed(raw).ravel()
    starts = np.flatnonzero(
        np.concatenate([[True], flat[1:] != flat[:-1]])
    )  # masks have long runs: sort only the run values
    lengths = np.diff(starts, append=len(flat))
    codes, run = np.unique(flat[starts], return_inverse=True)
    return codes.astype(np.int64), np.bincount(run.ravel(), weights=lengths, minlength=len(codes)).astype(np.int64)


def histogram(plane: NDArray[Any], where: NDArray[np.uint8] | None = None) -> NDArray[np.int64]:
    """Histogram of uint8 or uint16 [H, W], int64 [256] or [65536]; restricted to pixels where `where` is not 0."""
    bins = 256 if plane.dtype == np.uint8 else 65536
    counts = np.zeros(bins, np.int64)
    rows = max(1, _EXACT // max(1, plane.shape[1]))
    for top in range(0, plane.shape[0], rows):
        mask = None if where is None else where[top : top + rows]
        counts += cv2.calcHist([plane[top : top + rows]], [0], mask, [bins], [0, bins]).ravel().astype(np.int64)
    return counts


def packed(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Colours uint8 [H, W, 3] as red * 65536 + green * 256 + blue, uint32 [H, W]."""
    wide = cv2.cvtColor(colours, cv2.COLOR_RGB2BGRA)
    return np.asarray(wide.view("<u4")[..., 0] & 0xFFFFFF, np.uint32)


def unpacked(codes: NDArray[np.int64], dtype: Any, *, colours: bool) -> NDArray[Any]:
    """Values as a one-row mask: [1, n] of `dtype`, or colours uint8 [1, n, 3]."""
    if not colours:
        return codes.astype(dtype)[None]
    return np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=1).astype(np.uint8)[None]


def has_missing(masks: Sequence[MaskFacts]) -> bool:
    """Whether any mask has pixels without a value, whose raw value is NODATA_RAW."""
    return any(MISSING_NOTE in facts.notes for facts in masks)


def has_colours(masks: Sequence[MaskFacts]) -> bool:
    """Whether any mask has colours; then all values are treated as colours."""
    return any(facts.values.ndim == 3 for facts in masks)


def codes_of(facts: MaskFacts, *, colours: bool = False) -> NDArray[np.int64]:
    """A mask's values as whole numbers int64 [n]; colours packed, with `colours` gray values as well."""
    if facts.values.ndim == 2:
        codes = np.asarray(facts.values[0], np.int64)
        return codes * 0x010101 if colours else codes
    red, green, blue = facts.values[0].astype(np.int64).T
    return np.asarray((red << 16) | (green << 8) | blue)


def raw_of(code: int, *, colours: bool) -> Raw:
    """The raw value of a packed integer."""
    return (code >> 16, (code >> 8) & 255, code & 255) if colours else code
