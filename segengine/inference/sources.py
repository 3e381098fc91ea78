"""Images to predict: whole in memory, or a large TIFF file read by bands of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.band_statistics import BandCounts, band_counts
from segengine.data.files.decoding import decode
from segengine.data.files.reading import AnyWindow, channel_values
from segengine.data.files.stored import Stored
from segengine.data.files.windowed_image import WindowedImage
from segengine.data.files.windows import PER_IMAGE, PERCENTILES, Windows

if TYPE_CHECKING:
    from torch import Tensor

    from segengine.inference.ensemble import Member

    Rows = Callable[[int, int], Tensor]

Pixels = NDArray[np.uint8]
_ROWS_OF_A_HISTOGRAM = 512


@dataclass
class Source:
    """An image in memory.

    `pictures`: the different pictures that the models see, uint8 [H, W, C]; models with equal windows share one.
    `channels_of`: each model's channels in the pictures stacked by channel. `missing`: bool [H, W], no measurement.
    `spacing`: (row, column) distance of pixels in the file's unit, with `millimetres` in millimetres.
    """

    pictures: Sequence[Pixels]
    channels_of: Sequence[slice]
    missing: NDArray[np.bool_] | None
    spacing: tuple[float, float] | None = None
    millimetres: bool = False

    @property
    def picture(self) -> Pixels | None:
        """The first model's picture; None for an image that is read by bands."""
        return self.pictures[0]

    @property
    def height(self) -> int:
        return int(self.pictures[0].shape[0])

    @property
    def width(self) -> int:
        return int(self.pictures[0].shape[1])

    def rows_for(self, ranges: Sequence[tuple[int, int]]) -> Rows:  # noqa: ARG002 (all rows are in memory)
        """A function that gives uint8 [C, h, W] for the rows of each of these ranges, called in their order."""
        import torch

        stacked = torch.from_numpy(np.concatenate(self.pictures, axis=2)).permute(2, 0, 1)
        return lambda top, bottom: stacked[:, top:bottom]

    def missing_rows(self, top: int, bottom: int) -> NDArray[np.bool_] | None:
        """Pixels without measurement in rows top..bottom-1; None if there are none."""
        return None if self.missing is None else self.missing[top:bottom]

    def close(self) -> None:
        """Close the file, if there is one."""


@dataclass
class WindowedSource(Source):
    """A TIFF file read by bands of rows: only the rows of a band of tiles are in memory, the next band is read ahead."""

    pictures: Sequence[Pixels] = ()
    channels_of: Sequence[slice] = ()
    missing: NDArray[np.bool_] | None = None
    image: WindowedImage | None = None
    members: Sequence[Member] = ()
    windows: Sequence[AnyWindow] = ()
    _kept: tuple[int, Any, NDArray[np.bool_]] | None = None
    _read_ahead: dict[tuple[int, int], Future[Any]] = field(default_factory=dict)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "rows"))
    _absent: list[tuple[int, NDArray[np.bool_]]] = field(default_factory=list)

    @property
    def picture(self) -> None:
        return None

    @property
    def height(self) -> int:
        return self._file.height

    @property
    def width(self) -> int:
        return self._file.width

    @property
    def _file(self) -> WindowedImage:
        assert self.image is not None
        return self.image

    def rows_for(self, ranges: Sequence[tuple[int, int]]) -> Rows:
        order = list(ranges)
        self._kept, self._absent = None, []
        self._read_ahead = {order[0]: self._pool.submit(self._read, *order[0])}

        def rows(top: int, bottom: int) -> Tensor:
            found = self._read_ahead.pop((top, bottom)).result()
            if following := order[order.index((top, bottom)) + 1 :]:
                self._read_ahead[following[0]] = self._pool.submit(self._read, *following[0])
            self._absent = [(start, part) for start, part in self._absent if start + len(part) > top]
            self._absent.append((found[0], found[2]))
            stacked: Tensor = found[1]
            return stacked

        return rows

    def missing_rows(self, top: int, bottom: int) -> NDArray[np.bool_] | None:
        absent = np.zeros((bottom - top, self.width), bool)
        for start, part in self._absent:
            first, last = max(top, start), min(bottom, start + len(part))
            if first < last:
                absent[first - top : last - top] |= part[first - start : last - start]
        return absent if absent.any() else None

    def _read(self, top: int, bottom: int) -> tuple[int, Any, NDArray[np.bool_]]:
        """Rows top..bottom-1 [C, h, W] and their missing pixels; rows of the band before are kept, not read again."""
        import torch

        start = top
        parts, absent = [], []
        if self._kept is not None and (end := self._kept[0] + self._kept[1].shape[1]) > top:
            parts.append(self._kept[1][:, top - self._kept[0] :])
            absent.append(self._kept[2][top - self._kept[0] :])
            start = end
        if start < bottom:
            stored = self._file.stored(start, bottom, 0, self.width)
            pixels = np.concatenate(pictures_of(stored, self._file.path, self.members, self.windows)[0], axis=2)
            parts.append(torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))))
            missing = stored.missing
            absent.append(np.zeros((bottom - start, self.width), bool) if missing is None else missing)
        self._kept = (top, torch.cat(parts, 1) if len(parts) > 1 else parts[0], np.concatenate(absent))
        return self._kept

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._file.close()


def read_source(path: Path, members: Sequence[Member]) -> Source:
    """Read an image file into memory.

    Raises:
        DataError: unreadable file, or one that doesn't match a model.
    """
    stored = decode(path)
    pictures, channels = pictures_of(stored, path, members, [member.window_of(path) for member in members])
    return Source(pictures, channels, stored.missing, stored.spacing, stored.millimetres)


def array_source(values: NDArray[Any], members: Sequence[Member]) -> Source:
    """An array [H, W] or [H, W, C] of stored values. Raises DataError if it doesn't match a model."""
    found = [member.from_array(values) for member in members]
    first = 0
    channels = []
    for picture, _ in found:
        channels.append(slice(first, first + picture.shape[2]))
        first += picture.shape[2]
    return Source([picture for picture, _ in found], channels, found[0][1])


def open_windowed(path: Path, members: Sequence[Member]) -> WindowedSource:
    """Open a TIFF file for reading by bands of rows; windows per image are computed in one pass over the file.

    Raises:
        DataError: unreadable file, or one that doesn't match a model.
    """
    image = WindowedImage(path)
    try:
        corner = image.stored(0, 1, 0, image.width)
        windows: list[AnyWindow] = [member.window_of(path) for member in members]
        if PER_IMAGE in windows:
            own = _image_windows(image, members[0].channels)
            windows = [own if window == PER_IMAGE else window for window in windows]
        _, channels = pictures_of(corner, path, members, windows)
    except BaseException:
        image.close()
        raise
    return WindowedSource(channels_of=channels, image=image, members=members, windows=windows, spacing=corner.spacing)


def pictures_of(
    stored: Stored, path: Path, members: Sequence[Member], windows: Sequence[AnyWindow]
) -> tuple[list[Pixels], list[slice]]:
    """The different pictures that models see of stored values, and each model's channels in them stacked."""
    pictures: list[Pixels] = []
    known: list[tuple[int, AnyWindow]] = []
    channels = []
    for member, window in zip(members, windows, strict=True):
        key = (member.channels, window)
        if key not in known:
            known.append(key)
            pictures.append(member.picture(stored, path, window))
        place = known.index(key)
        first = sum(picture.shape[2] for picture in pictures[:place])
        channels.append(slice(first, first + member.channels))
    return pictures, channels


def _image_windows(image: WindowedImage, channels: int) -> Windows:
    """The 0.5 and 99.5 percentiles of each channel, from histograms over bands of rows."""
    whole = image.dtype == np.uint16
    counted: list[list[BandCounts]] = []
    for top in range(0, image.height, _ROWS_OF_A_HISTOGRAM):
        stored = image.stored(top, min(top + _ROWS_OF_A_HISTOGRAM, image.height), 0, image.width)
        values = channel_values(stored, image.path, channels)
        found = band_counts(values, stored.nodata, stored.missing, whole=whole)
        counted = [[each] for each in found] if not counted else [
            [reduce(BandCounts.plus, [*before, each])] for before, each in zip(counted, found, strict=True)
        ]  # fmt: skip
    windows = []
    for (band,) in counted:
        low, high = (band.percentile(p) for p in PERCENTILES) if band.pixels else (0.0, 0.0)
        windows.append((low, high) if high > low else (low, low + 1.0))
    return tuple(windows)
