"""One pass over all images: sizes, channels, bits and content, so that nothing surprises during training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segengine.data.files.decoding import decode, file_bytes
from segengine.data.files.parallel import Progress, in_threads
from segengine.data.sources.records import Record
from segengine.errors import DataError

_SAMPLED_PIXELS = 4096
_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class ImageFacts:
    """A decoded image's size, channels (without transparency), bits a value, and SHA-256 of its file.

    `flat` images have one value everywhere.
    """

    height: int
    width: int
    channels: int
    alpha: bool
    bits: int
    digest: str
    flat: bool = False


def survey_images(records: Sequence[Record], progress: Progress | None = None) -> list[ImageFacts]:
    """Facts of each record's image, decoded once. Raises DataError for a broken or truncated file."""
    return in_threads(image_facts, [record.image for record in records], "images", progress)


def image_facts(path: Path) -> ImageFacts:
    """What an image file is."""
    content = file_bytes(path)
    stored = decode(path, content)
    height, width = stored.values.shape[:2]
    kept = stored.values.shape[2] if stored.values.ndim == 3 else 1
    channels = 3 if stored.palette is not None else kept - stored.alpha
    bits = stored.bits if stored.palette is None else 8
    flat = bool(stored.values.min() == stored.values.max())
    return ImageFacts(height, width, channels, stored.alpha, bits, hashlib.sha256(content).hexdigest(), flat)


def common_channels(records: Sequence[Record], facts: Sequence[ImageFacts], wanted: int | str) -> tuple[int, str]:
    """The number of channels that all images are read with, and a note ('' if there's nothing to say).

    With "auto" gray images beside colour images become colour.

    Raises:
        DataError: channels that can't be brought together, naming an image.
    """
    first: dict[int, Record] = {}
    for record, fact in zip(records, facts, strict=True):
        first.setdefault(fact.channels, record)
    if wanted == "auto":
        if set(first) == {1, 3}:
            gray = sum(fact.channels == 1 for fact in facts)
            return 3, f"{gray} of {len(facts)} images are gray and read as three equal channels"
        if len(first) > 1:
            found = ", ".join(f"{n} in {record.image}" for n, record in sorted(first.items()))
            raise DataError(f"images have different numbers of channels ({found}); make them the same")
        return next(iter(first)), ""
    for record, fact in zip(records, facts, strict=True):
        fits = fact.channels == wanted or {fact.channels, wanted} == {1, 3} or fact.channels + fact.alpha == wanted
        if not fits:
            raise DataError(
                f"{record.image}: has {fact.channels} channels and data.channels is {wanted}; correct one of them"
            )
    return int(wanted), ""


def common_window(
    records: Sequence[Record],
    facts: Sequence[ImageFacts],
    training: Sequence[int],
    wanted: tuple[float, float] | str | None,
    progress: Progress | None = None,
) -> tuple[tuple[float, float] | None, str]:
    """The range of stored values that becomes 0..255, and a note ('' if there's nothing to say).

    "auto" takes the 0.5 and 99.5 percentiles over the training images: of all pixels with 16 bits, of 4096 evenly
    spread pixels an image otherwise.

    Raises:
        DataError: more than 8 bits without a window, or 8-bit images among others.
    """
    deep = [i for i, fact in enumerate(facts) if fact.bits > 8]
    if not deep:
        return None, "data.window has no effect: all images have 8 bits" if isinstance(wanted, tuple) else ""
    if len(deep) < len(facts):
        shallow = next(i for i, fact in enumerate(facts) if fact.bits <= 8)
        raise DataError(
            f"{records[deep[0]].image} has {facts[deep[0]].bits} bits a value and {records[shallow].image} 8; "
            "export all images with the same bits"
        )
    if isinstance(wanted, tuple):
        return wanted, ""
    if wanted is None:
        raise DataError(
            f"{records[deep[0]].image}: has {facts[deep[0]].bits} bits a value; set data.window: auto, "
            "or the [low, high] that becomes black and white"
        )
    paths = [records[i].image for i in training]
    low, high = _percentiles(paths, whole=all(facts[i].bits == 16 for i in training), progress=progress)
    if not high > low:
        raise DataError(
            f"{records[0].image.parent}: training images hold the value {low:g} only; set data.window yourself"
        )
    return (low, high), f"data.window: auto is [{low:g}, {high:g}], the 0.5 and 99.5 percentiles of the training images"


def _percentiles(paths: Sequence[Path], *, whole: bool, progress: Progress | None) -> tuple[float, float]:
    if whole:
        counts = np.zeros(65536, np.int64)
        for start in range(0, len(paths), 64):  # a histogram an image is half a megabyte
            for histogram in in_threads(_histogram, paths[start : start + 64], "window"):
                counts += histogram
            if progress is not None:
                progress("window", min(start + 64, len(paths)), len(paths))
        below = np.cumsum(counts)
        low, high = (int(np.searchsorted(below, below[-1] * p / 100)) for p in _PERCENTILES)
        return float(low), float(high)
    samples = np.concatenate(in_threads(_sample, paths, "window", progress))
    low_high = np.percentile(samples[np.isfinite(samples)], _PERCENTILES)
    return float(low_high[0]), float(low_high[1])


def _histogram(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.bincount(decode(path).values.ravel(), minlength=65536)


def _sample(path: Path) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values = decode(path).values.ravel()
    return values[:: max(1, len(values) // _SAMPLED_PIXELS)].astype(np.float64)
