"""Look-up-table mappers for gray values, palette indices and colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.masks.diagnosis import distance, spoken
from segengine.data.masks.mapping import IGNORE, Label, MaskEncoding, MaskSurvey, Raw
from segengine.data.sources.records import listed
from segengine.errors import DataError, counted

_UNKNOWN = 254  # between the last class and IGNORE


@dataclass(frozen=True, eq=False)
class GrayMapper:
    """Gray values or palette indices <-> classes, through a table of 256 or 65536 entries.

    `values_file` is the text of gray-values.txt if it could not be written beside the data, else ''. `merged`: classes of raw values
    beside the classes' own.
    """

    labels: tuple[Label, ...]
    ignored: tuple[Raw, ...]
    encoding: MaskEncoding
    repair: bool = False
    notes: tuple[str, ...] = ()
    advice: str = "add {value} to values or ignore in data.mask_mapper"
    values_file: str = ""
    merged: Mapping[Raw, int] = field(default_factory=dict)
    _table: NDArray[np.uint8] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        known = known_values(self.labels, self.ignored, self.merged)
        codes = np.array([_gray(raw) for raw in known])
        classes = np.array(list(known.values()), np.uint8)
        table = np.full(65536 if self.encoding.bits > 8 or codes.max() > 255 else 256, _UNKNOWN, np.uint8)
        if self.repair:
            # Ties go to the lower value.
            order = np.argsort(codes)
            nearest = np.abs(np.arange(len(table))[:, None] - codes[order][None]).argmin(axis=1)
            table = classes[order][nearest]
        table[codes] = classes
        object.__setattr__(self, "_table", table)

    def to_classes(self, raw: NDArray[Any], *, where: str = "") -> NDArray[np.uint8]:
        """Raw uint8/uint16 [H, W] -> uint8 [H, W]; raises DataError as documented in `Mapper`."""
        if raw.ndim != 2:
            raise DataError(f"{where}: the mask has colours, but data.mask_mapper expects gray values; use rgb")
        if raw.dtype.itemsize > 1 and len(self._table) == 256 and raw.size and int(raw.max()) > 255:
            unknown = raw[raw > 255]
            raise DataError(_unknown(self, [int(v) for v in unknown], where))
        classes: NDArray[np.uint8] = self._table[raw]
        if not self.repair and (strange := classes == _UNKNOWN).any():
            raise DataError(_unknown(self, raw[strange].tolist(), where))
        return classes

    def to_raw(self, classes: NDArray[np.uint8]) -> NDArray[Any]:
        """Classes uint8 [H, W] -> uint8 or uint16 [H, W] in the encoding of the user's masks."""
        table = np.zeros(256, np.uint16 if self.encoding.bits > 8 else np.uint8)
        table[: len(self.labels)] = [_gray(label.raw) for label in self.labels]
        table[IGNORE] = _gray(self.ignored[0] if self.ignored else self.labels[0].raw)
        return np.asarray(table[classes])


@dataclass(frozen=True, eq=False)
class ColourMapper:
    """Colours <-> classes, through packed codes (red * 65536 + green * 256 + blue)."""

    labels: tuple[Label, ...]
    ignored: tuple[Raw, ...]
    encoding: MaskEncoding
    repair: bool = False
    notes: tuple[str, ...] = ()
    advice: str = "add {value} to colours or ignore in data.mask_mapper"
    merged: Mapping[Raw, int] = field(default_factory=dict)

    def to_classes(self, raw: NDArray[Any], *, where: str = "") -> NDArray[np.uint8]:
        """Raw uint8 [H, W, 3], or [H, W] for a mask with only gray colours -> uint8 [H, W]."""
        if raw.dtype != np.uint8:
            raise DataError(f"{where}: the mask has more than 8 bits per channel; export it with 8 bits")
        wide = raw.astype(np.uint32)
        packed = wide * 0x010101 if raw.ndim == 2 else (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
        known = known_values(self.labels, self.ignored, self.merged)
        codes = np.array([_packed(raw) for raw in known], np.uint32)
        classes = np.array(list(known.values()), np.uint8)
        order = np.argsort(codes)
        codes, classes = codes[order], classes[order]
        place = np.minimum(np.searchsorted(codes, packed), len(codes) - 1)
        result, strange = classes[place], codes[place] != packed
        if not strange.any():
            return np.asarray(result)
        odd, back = np.unique(packed[strange], return_inverse=True)
        spread = np.stack([odd >> 16, (odd >> 8) & 255, odd & 255], axis=1).astype(np.int64)
        if not self.repair:
            raise DataError(_unknown(self, [(int(r), int(g), int(b)) for r, g, b in spread[back.ravel()]], where))
        own = np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=1).astype(np.int64)
        squared = ((spread[:, None] - own[None]) ** 2).sum(axis=2)
        result[strange] = classes[squared.argmin(axis=1)][back.ravel()]
        return np.asarray(result)

    def to_raw(self, classes: NDArray[np.uint8]) -> NDArray[Any]:
        """Classes uint8 [H, W] -> colours uint8 [H, W, 3]."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.labels)] = [_colour(label.raw) for label in self.labels]
        table[IGNORE] = _colour(self.ignored[0] if self.ignored else self.labels[0].raw)
        return np.asarray(table[classes])


def known_values(labels: Sequence[Label], ignored: Sequence[Raw], merged: Mapping[Raw, int]) -> dict[Raw, int]:
    """Raw value -> class, 255 for ignored values."""
    return {**{label.raw: label.index for label in labels}, **merged, **dict.fromkeys(ignored, IGNORE)}


def unlisted(survey: MaskSurvey, known: Mapping[Raw, Any] | Sequence[Raw]) -> dict[Raw, int]:
    """Values found in the masks but not in `known`, with their pixel counts."""
    return {raw: found.pixels for raw, found in survey.values.items() if raw not in known}


def repair_note(survey: MaskSurvey, known: Sequence[Raw]) -> str:
    """A note on the number of pixels that a repair maps to the nearest listed value; '' for none."""
    moved = unlisted(survey, known)
    if not moved:
        return ""
    files = sum(1 for facts in survey.masks if any(raw in moved for raw in _facts_raws(facts.values, survey)))
    pixels, total = sum(moved.values()), survey.pixels
    what = "colour" if survey.encoding.kind == "rgb" else "value"
    return (
        f"repair: nearest maps {counted(pixels, 'mask pixel')} ({100 * pixels / total:.2g} %) in {counted(files, 'mask')} "
        f"with {counted(len(moved), f'unlisted {what}')} to the nearest of {listed([spoken(k) for k in known], 12)}"
    )


def _facts_raws(values: NDArray[Any], survey: MaskSurvey) -> list[Raw]:
    if values.ndim == 3:
        return [(int(r), int(g), int(b)) for r, g, b in values[0]]
    return [(int(v),) * 3 if survey.encoding.kind == "rgb" else int(v) for v in values[0]]


def _unknown(mapper: GrayMapper | ColourMapper, values: Sequence[Raw], where: str) -> str:
    counts: dict[Raw, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    worst = min(counts, key=lambda v: (-counts[v], v))
    nearest = min(known_values(mapper.labels, mapper.ignored, mapper.merged), key=lambda known: distance(known, worst))
    others = f" (and {counted(len(counts) - 1, 'other unknown value')})" if len(counts) > 1 else ""
    return (
        f"{where}: {counted(counts[worst], 'pixel')} with value {spoken(worst)}{others}, neither a class nor "
        f"ignored; the nearest known value is {spoken(nearest)}; {mapper.advice.format(value=spoken(worst))}"
    )


def _gray(raw: Raw) -> int:
    assert isinstance(raw, int)
    return raw


def _colour(raw: Raw) -> tuple[int, int, int]:
    assert isinstance(raw, tuple)
    return raw


def _packed(raw: Raw) -> int:
    red, green, blue = _colour(raw)
    return (red << 16) | (green << 8) | blue
