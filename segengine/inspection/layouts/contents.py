"""Content of single files: masks have areas of equal values, images rarely do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.decoding import Stored, decode, read_volume
from segengine.data.files.formats import holds_of
from segengine.data.files.volumes import slicing_of
from segengine.errors import SegengineError

_LOOKED_AT = 1024
_THUMB = 48
_TRIED = 6


@dataclass(frozen=True, eq=False)
class Content:
    """Statistics of one decoded file.

    `values` is the number of distinct gray values, indices or colours; `solid` the fraction of pixels whose 3x3
    neighbourhood has a single value; `peaks` the fraction of pixels within 16 of one of the two most frequent gray values.
    `thumb` is int64 [48, 48]: raw values (colours packed) at evenly spaced pixels; `gray` the same as brightness, float32.
    """

    height: int
    width: int
    channels: int
    bits: int
    palette: bool
    lossy: bool
    values: int
    solid: float
    peaks: float
    thumb: NDArray[np.int64]
    gray: NDArray[np.float32]

    @cached_property
    def likeness(self) -> float:
        """Similarity to a mask, 0 (a photograph) to 1."""
        if self.values == 1:
            return 0.5
        if self.bits > 16 or self.channels > 4 or self.channels == 2:
            return 0.05
        score = float(np.interp(self.solid, [0.15, 0.6], [0.1, 0.85]))
        score += 0.15 * (self.values <= 40) - 0.2 * (self.channels > 1 and self.values > 400)
        score += 0.15 * (self.palette and self.values <= 64) - 0.1 * self.lossy
        if self.channels == 1 and self.values > 40 and self.peaks > 0.95 and self.solid > 0.4:
            score += 0.2
        return min(1.0, max(0.0, score))

    @property
    def two_valued(self) -> bool:
        """Whether there is one foreground and one background, possibly with blurred edges."""
        blurred = self.channels == 1 and not self.palette and self.peaks > 0.9 and float(np.ptp(self.gray)) > 100
        return self.values <= 2 or blurred

    def foreground(self) -> NDArray[np.bool_]:
        """Pixels of the thumbnail brighter than half of its maximum, bool [48, 48]."""
        return np.asarray(self.gray > self.gray.max() / 2) if self.gray.max() > 0 else self.gray > 0


@lru_cache(maxsize=4096)
def look(path: Path) -> Content | None:
    """The content of a file; None if it can't be decoded."""
    try:
        stored = _middle_slice(path) if holds_of(path) == "volume" else decode(path)
    except SegengineError:
        return None
    values = _finite(stored.values[..., :-1] if stored.alpha and stored.values.ndim == 3 else stored.values)
    if not values.size:
        return None
    flat = _flat(values)
    height, width = flat.shape
    top, left = max(0, (height - _LOOKED_AT) // 2), max(0, (width - _LOOKED_AT) // 2)
    middle = flat[top : top + _LOOKED_AT, left : left + _LOOKED_AT]
    codes, inverse, counts = np.unique(middle, return_inverse=True, return_counts=True)
    rows = np.linspace(0, height - 1, _THUMB).round().astype(int)
    columns = np.linspace(0, width - 1, _THUMB).round().astype(int)
    gray_values = values if values.ndim == 2 else values.max(axis=2)
    channels = 1 if values.ndim == 2 or _is_gray(values) else values.shape[2]
    return Content(
        height, width, channels, stored.bits, stored.palette is not None, stored.lossy, len(codes),
        _solid(inverse.reshape(middle.shape)), _peaks(codes, counts) if channels == 1 else 0.0,
        flat[np.ix_(rows, columns)].astype(np.int64), gray_values[np.ix_(rows, columns)].astype(np.float32),
    )  # fmt: skip


def undecodable(pictures: Sequence[Path]) -> str:
    """Why the first picture can't be decoded, if a few others can't either; '' if any can."""
    step = max(1, len(pictures) // _TRIED)
    if any(look(path) is not None for path in pictures[::step][:_TRIED]):
        return ""
    try:
        decode(pictures[0])
    except SegengineError as error:
        return str(error)
    return ""


def _middle_slice(path: Path) -> Stored:
    """The middle slice of a volume, or the one with the most voxels above 0 where that is empty; whole numbers as uint8."""
    volume = read_volume(path)
    slicing = slicing_of(volume)
    slices = slicing.apply(volume.values)
    middle = slices[len(slices) // 2]
    if middle.min() == middle.max():
        middle = slices[int(np.argmax([np.count_nonzero(each) for each in slices]))]
    whole = not np.issubdtype(middle.dtype, np.floating) or bool((middle % 1 == 0).all())
    if whole and middle.min() >= 0 and middle.max() <= 255:
        middle = middle.astype(np.uint8)
    return Stored(np.ascontiguousarray(middle), 8 * middle.dtype.itemsize)


def raw_values(path: Path) -> tuple[Stored, NDArray[Any]]:
    """The stored values, without alpha channel."""
    stored = decode(path)
    return stored, stored.values[..., :-1] if stored.alpha and stored.values.ndim == 3 else stored.values


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    """Floats within int64, with 0 for NaN and infinity; other types unchanged."""
    if values.dtype.kind != "f":
        return values
    return np.asarray(np.clip(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), -(2.0**62), 2.0**62))


def _is_gray(values: NDArray[Any]) -> bool:
    return bool((values == values[:, :, :1]).all())


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    """One integer per pixel: colours packed, floats by their order."""
    if values.ndim == 2:
        return values
    if values.shape[2] == 1 or _is_gray(values):
        return np.ascontiguousarray(values[:, :, 0])
    packed = np.zeros(values.shape[:2], np.int64)
    for channel in range(min(3, values.shape[2])):
        packed = packed * 65536 + values[:, :, channel].astype(np.int64)
    return packed


def _solid(ranks: NDArray[np.int64]) -> float:
    if min(ranks.shape) < 3:
        return 0.5
    import cv2

    plane = (ranks % 65521).astype(np.uint16)
    kernel = np.ones((3, 3), np.uint8)
    return float((cv2.erode(plane, kernel) == cv2.dilate(plane, kernel)).mean())


def _peaks(codes: NDArray[Any], counts: NDArray[np.int64]) -> float:
    top = codes[np.argmax(counts)]
    far = np.abs(codes.astype(np.float64) - float(top)) > 16
    near = counts[~far].sum()
    if far.any():
        second = codes[far][np.argmax(counts[far])]
        near += counts[far & (np.abs(codes.astype(np.float64) - float(second)) <= 16)].sum()
    return float(near / counts.sum())
