"""Survey of all images: sizes, channels, bit depths and content, checked before training starts."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Literal

from segengine.data.files.band_statistics import BandCounts, band_counts, windows_of
from segengine.data.files.decoding import Stored, decode, file_bytes
from segengine.data.files.parallel import Progress, in_threads
from segengine.data.files.reading import channel_values
from segengine.data.files.windows import PER_IMAGE, Windowing, Windows, as_windows, shown
from segengine.data.sources.records import Record
from segengine.errors import DataError, counted

_TOGETHER = 8  # images whose histograms are held at once, a few megabytes each

WindowSetting = tuple[float, float] | Sequence[tuple[float, float]] | Literal["auto", "per-image"] | None
WindowChoice = tuple[Windowing, str]
"""Windows, and a note for the user ('' for none)."""


@dataclass(frozen=True)
class ImageFacts:
    """A decoded image's size, channels (without transparency), bits per value, and SHA-256 of its file.

    `deep`: a window is needed to map values to 0..255. `whole`: values are unsigned 16-bit integers. `flat`: all pixels have
    the same value. `missing`: number of pixels without a measurement (NaN, nodata). `notes`: how the file was read.
    `spacing`: (row, column) distance of pixels that the file declares.
    """

    height: int
    width: int
    channels: int
    alpha: bool
    bits: int
    digest: str
    flat: bool = False
    deep: bool = False
    whole: bool = False
    missing: int = 0
    notes: tuple[str, ...] = ()
    spacing: tuple[float, float] | None = None


def image_facts(path: Path, decoded: Callable[[Path, bytes], Stored] = decode) -> ImageFacts:
    """The facts of an image file; `decoded` decodes its content."""
    content = file_bytes(path)
    stored = decoded(path, content)
    height, width = stored.values.shape[:2]
    kept = stored.values.shape[2] if stored.values.ndim == 3 else 1
    channels = 3 if stored.palette is not None else kept - stored.alpha
    return ImageFacts(
        height,
        width,
        channels,
        stored.alpha,
        stored.bits if stored.palette is None else 8,
        hashlib.sha256(content).hexdigest(),
        flat=bool(stored.values.min() == stored.values.max()),
        deep=stored.deep,
        whole=str(stored.values.dtype) == "uint16",
        missing=0 if stored.missing is None else int(stored.missing.sum()),
        notes=stored.notes,
        spacing=stored.spacing,
    )


def reading_of(
    records: Sequence[Record],
    facts: Sequence[ImageFacts],
    training: Sequence[int],
    *,
    channels: int | Literal["auto"],
    window: WindowSetting,
    read: Callable[[Path], Stored] = decode,
    remembered: Callable[[Callable[[], WindowChoice]], WindowChoice] = lambda choose: choose(),
    progress: Progress | None = None,
) -> tuple[int, Windowing, list[str]]:
    """The channels and windows that all images are read with, and notes; see `common_channels` and `common_window`.

    `remembered` returns the windows chosen earlier for the same files, or calls the given function.
    """
    number, note = common_channels(records, facts, channels)
    windowing, other = remembered(
        lambda: common_window(records, facts, training, window, channels=number, read=read, progress=progress)
    )
    return number, windowing, [note, other, *reading_notes(records, facts, number)]


def reading_notes(records: Sequence[Record], facts: Sequence[ImageFacts], channels: int) -> list[str]:
    """Remarks on how images were read: one line per remark, with the number of images and the first file."""
    found: dict[str, list[Path]] = {}
    for record, fact in zip(records, facts, strict=True):
        for note in fact.notes:
            found.setdefault(note, []).append(record.image)
        if fact.alpha and fact.channels + 1 != channels:
            remark = f"the last of {fact.channels + 1} channels is declared as transparency and left out"
            if fact.channels >= 3:
                remark += f"; if it is a band, set data.channels: {fact.channels + 1}"
            found.setdefault(remark, []).append(record.image)
    notes = [f"{counted(len(paths), 'image')} (first {paths[0]}): {remark}" for remark, paths in found.items()]
    missing = [(r, f) for r, f in zip(records, facts, strict=True) if f.missing]
    if missing:
        pixels, total = sum(f.missing for _, f in missing), sum(f.height * f.width for f in facts)
        notes.append(
            f"{counted(len(missing), 'image')} (first {missing[0][0].image}): {100 * pixels / total:.2g} % of all pixels have no "
            "measurement (NaN or nodata); they are ignored"
        )
    return notes


def common_channels(records: Sequence[Record], facts: Sequence[ImageFacts], wanted: int | str) -> tuple[int, str]:
    """The common number of channels, and a note for the user ('' for none).

    With "auto", gray images are converted to colour if the data set also has colour images.

    Raises:
        DataError: incompatible numbers of channels; names an image.
    """
    first: dict[int, Record] = {}
    for record, fact in zip(records, facts, strict=True):
        first.setdefault(fact.channels, record)
    if wanted == "auto":
        if set(first) == {1, 3}:
            gray = sum(fact.channels == 1 for fact in facts)
            return (
                3,
                f"{gray} of {counted(len(facts), 'image')} {'is' if gray == 1 else 'are'} gray; the channel is repeated three times",
            )
        if len(first) > 1:
            found = ", ".join(f"{n} in {record.image}" for n, record in sorted(first.items()))
            raise DataError(f"images have different numbers of channels ({found}); make them the same")
        return next(iter(first)), ""
    for record, fact in zip(records, facts, strict=True):
        fits = fact.channels == wanted or {fact.channels, wanted} == {1, 3} or fact.channels + fact.alpha == wanted
        if not fits:
            raise DataError(
                f"{record.image}: has {counted(fact.channels, 'channel')} and data.channels is {wanted}; correct one of them"
            )
    return int(wanted), ""


def common_window(
    records: Sequence[Record],
    facts: Sequence[ImageFacts],
    training: Sequence[int],
    wanted: WindowSetting,
    *,
    channels: int,
    read: Callable[[Path], Stored] = decode,
    progress: Progress | None = None,
) -> tuple[Windowing, str]:
    """The mapping of stored values to 0..255, and a note for the user ('' for none).

    "auto" takes the 0.5 and 99.5 percentiles of each channel over all pixels of the training images; "per-image" those of
    each image, or of each group's images where records have groups. Pixels without a measurement (NaN, nodata) are excluded.
    `read` decodes a file.

    Raises:
        DataError: images that need a window if none is set, a mix with 8-bit images, or a number of windows that differs
            from the number of channels.
    """
    deep = [i for i, fact in enumerate(facts) if fact.deep]
    fixed = as_windows(wanted) if isinstance(wanted, (tuple, list)) else None
    if not deep:
        return Windowing(), "data.window has no effect: all images have 8 bits" if fixed or wanted == PER_IMAGE else ""
    if len(deep) < len(facts):
        shallow = next(i for i, fact in enumerate(facts) if not fact.deep)
        raise DataError(
            f"{records[deep[0]].image} has {facts[deep[0]].bits} bits per value and {records[shallow].image} 8; "
            "export all images with the same bit depth"
        )
    if fixed is not None:
        if len(fixed) not in (1, channels):
            raise DataError(
                f"data.window has {counted(len(fixed), 'pair')} and images have {counted(channels, 'channel')}; "
                f"write one pair, or {channels}"
            )
        return Windowing(fixed), ""
    if wanted is None:
        raise DataError(
            f"{records[deep[0]].image}: has {facts[deep[0]].bits} bits per value; set data.window: auto, "
            "or [low, high], the values mapped to black and white"
        )
    whole = all(fact.whole for fact in facts)
    if wanted == PER_IMAGE and all(record.group == record.id for record in records):
        return Windowing(PER_IMAGE), ""
    if wanted == PER_IMAGE:
        members: dict[str, list[Path]] = {}
        for record in records:
            members.setdefault(record.group, []).append(record.image)
        groups = group_windows(members, channels, whole=whole, read=read, progress=progress)
        return Windowing(
            PER_IMAGE, groups
        ), f"data.window: per-image uses percentiles per group: {counted(len(groups), 'group')}"
    return _automatic([records[i].image for i in training], channels, whole=whole, read=read, progress=progress)


def _automatic(
    paths: Sequence[Path], channels: int, *, whole: bool, read: Callable[[Path], Stored], progress: Progress | None
) -> tuple[Windowing, str]:
    bands = _counted_bands(paths, channels, whole=whole, read=read, progress=progress)
    windows, notes = windows_of(bands)
    if all(not band.pixels or band.least == band.greatest for band in bands):
        held = f"the single value {bands[0].least:g}" if bands[0].pixels else "no valid value"
        raise DataError(f"{paths[0].parent}: training images hold {held}; set data.window yourself")
    if len(set(windows)) == 1:
        windows = windows[:1]
    each = "the 0.5 and 99.5 percentiles of the training images"
    if len(windows) > 1:
        each += ", per channel"
    return Windowing(windows), "; ".join([f"data.window: auto is {shown(windows)}, {each}", *notes])


def group_windows(
    members: Mapping[str, Sequence[Path]],
    channels: int,
    *,
    whole: bool,
    read: Callable[[Path], Stored] = decode,
    progress: Progress | None = None,
) -> dict[str, Windows]:
    """Group -> percentile window of each channel over all images of the group."""
    found = {}
    for done, (group, paths) in enumerate(sorted(members.items()), start=1):
        found[group] = windows_of(_counted_bands(paths, channels, whole=whole, read=read, progress=None))[0]
        if progress is not None:
            progress("window", done, len(members))
    return found


def readable_group_windows(members: Mapping[str, Sequence[Path]], channels: int) -> dict[str, Windows]:
    """`group_windows` for prediction: images that can't be read, or need no window, are skipped."""
    found = {}
    for group, paths in members.items():
        total: list[BandCounts] | None = None
        for path in paths:
            with contextlib.suppress(DataError):
                bands = counts_of(path, channels, whole=False)
                total = bands if total is None else _added(total, bands)
        if total is not None:
            found[group] = windows_of(total)[0]
    return found


def _counted_bands(
    paths: Sequence[Path], channels: int, *, whole: bool, read: Callable[[Path], Stored], progress: Progress | None
) -> list[BandCounts]:
    def count(path: Path) -> list[BandCounts]:
        return counts_of(path, channels, whole=whole, read=read)

    total: list[BandCounts] | None = None
    for start in range(0, len(paths), _TOGETHER):
        for bands in in_threads(count, paths[start : start + _TOGETHER], "window"):
            total = bands if total is None else _added(total, bands)
        if progress is not None:
            progress("window", min(start + _TOGETHER, len(paths)), len(paths))
    assert total is not None
    return total


def counts_of(path: Path, channels: int, *, whole: bool, read: Callable[[Path], Stored] = decode) -> list[BandCounts]:
    """Counts of the values of each channel of an image file."""
    stored = read(path)
    return band_counts(channel_values(stored, path, channels), stored.nodata, stored.missing, whole=whole)


def _added(one: Iterable[BandCounts], two: Iterable[BandCounts]) -> list[BandCounts]:
    return [reduce(BandCounts.plus, pair) for pair in zip(one, two, strict=True)]
