"""Cache of decoded pairs: in memory, on disk, or none."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segengine.data.batches.available import available_bytes
from segengine.data.batches.cache_folder import DECODING, default_folder
from segengine.data.batches.shared_pairs import can_share, shared_pairs
from segengine.data.batches.survey_file import FileState
from segengine.data.files.decoding import Stored
from segengine.data.files.decoding import decode as decode_file
from segengine.data.files.formats import import_readers
from segengine.data.files.parallel import Progress, in_threads
from segengine.data.files.reading import mask_values, to_picture
from segengine.data.files.windows import Windowing
from segengine.data.masks.mapping import IGNORE, Mapper
from segengine.data.sources.records import Record
from segengine.errors import DataError
from segengine.files import write_bytes

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
CacheKind = Literal["auto", "none", "ram", "disk", "device"]
_GIB = 1024**3
_KEPT_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True)
class Decoder:
    """Decodes pair i from its files; mask pixels without a measurement in the image are set to ignore."""

    records: tuple[Record, ...]
    mapper: Mapper
    channels: int
    window: Windowing
    read: Callable[[Path], Stored] = decode_file

    def __post_init__(self) -> None:
        """Import what threads need that call this."""
        import_readers(path for r in self.records for path in (r.image, r.mask) if path is not None)

    def __call__(self, index: int) -> Pair:
        record = self.records[index]
        assert record.mask is not None
        stored = self.read(record.image)
        image = to_picture(stored, record.image, channels=self.channels, window=self.window.of(record.group))
        raw = mask_values(self.read(record.mask), record.mask)
        classes = self.mapper.to_classes(raw, where=str(record.mask))
        return image, classes if stored.missing is None else np.where(stored.missing, np.uint8(IGNORE), classes)


@dataclass(frozen=True)
class Memory:
    """All decoded pairs in memory; arrays are read-only."""

    pairs: Sequence[Pair]

    def __call__(self, index: int) -> Pair:
        return self.pairs[index]


@dataclass(frozen=True)
class Disk:
    """Pairs as memory-mapped .npy files named by a hash of their inputs, so stale files are never used."""

    folder: Path
    keys: tuple[str, ...]
    decode: Decoder

    def __call__(self, index: int) -> Pair:
        image, classes = (self._path(index, what) for what in ("image", "mask"))
        with contextlib.suppress(OSError, ValueError):  # missing or corrupt: decoded again
            return np.load(image, mmap_mode="r"), np.load(classes, mmap_mode="r")
        pair = self.decode(index)
        for path, array in zip((image, classes), pair, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            write_bytes(path, buffer.getvalue())
        return np.load(image, mmap_mode="r"), np.load(classes, mmap_mode="r")

    def prune(self) -> None:
        """Delete pairs unused for 30 days; pairs of this data set count as used now."""
        needed = {self._path(index, what) for index in range(len(self.keys)) for what in ("image", "mask")}
        oldest = time.time() - _KEPT_SECONDS
        for path in self.folder.glob("??/*.npy"):
            with contextlib.suppress(OSError):  # another process may do the same
                if path in needed:
                    os.utime(path)
                elif path.stat().st_mtime < oldest:
                    path.unlink()

    def _path(self, index: int, what: str) -> Path:
        key = self.keys[index]
        return self.folder / key[:2] / f"{key[2:]}.{what}.npy"


def cached(
    decode: Decoder,
    sizes: NDArray[np.int64],
    mapped: Sequence[bytes],
    *,
    kind: CacheKind = "auto",
    folder: Path | None = None,
    processes: int = 1,
    read: Callable[[Path], Stored] = decode_file,
    progress: Progress | None = None,
) -> tuple[Callable[[int], Pair], str]:
    """A callable that returns pair i, and a note for the user ('' for none).

    Args:
        decode: the decoder.
        sizes: int64 [N, 2].
        mapped: the mapping of each mask's values, as bytes; part of the key on disk.
        kind: "auto" is "ram" if all pairs fit into half of the available memory, else "none"; so is
            "device", whose training images are moved to the device afterwards.
        folder: folder of pairs on disk; by default the user's cache folder.
        processes: number of processes on this machine that need the same pairs; they share memory if possible.
        read: returns files that are already decoded, for the first decoding of each pair.
        progress: called with ("decoding", done, total).

    Raises:
        DataError: "ram" with too little memory, or a folder that is not writable.
    """
    folder, first = folder or default_folder(), replace(decode, read=read)
    shared = processes > 1 and can_share()
    needed = int(sizes.prod(axis=1).sum()) * (decode.channels + 1) * (1 if shared else processes)
    fits = needed <= available_bytes() / 2
    spoken = f"decoded images take {needed / _GIB:.1f} GiB and {available_bytes() / _GIB:.1f} GiB are free"
    if kind == "none":
        return decode, ""
    if kind == "disk":
        disk = Disk(folder, _keys(decode, mapped), decode)
        disk.prune()
        making = replace(disk, decode=first)
        try:
            in_threads(lambda i: making(i) and None, range(len(decode.records)), "decoding", progress)
        except OSError as error:
            raise DataError(
                f"{folder}: can't write decoded images ({error.strerror}); free space or set data.cache: none"
            ) from error
        return disk, ""
    if not fits and kind == "ram":
        raise DataError(f"data.cache: ram: {spoken}; at most half is used; set data.cache: disk or none")
    if not fits and kind == "device":
        return decode, f"data.cache: device decodes validation and test images in every evaluation: {spoken}"
    if not fits:
        return decode, f"data.cache: auto decodes images in every epoch: {spoken}; data.cache: disk is faster"
    if shared:
        keys = _keys(decode, mapped)
        mapped_file = shared_pairs(
            first, sizes, decode.channels, keys, processes=processes, folder=folder, progress=progress
        )
        if mapped_file is not None:
            return mapped_file, ""
    return Memory(in_threads(lambda i: _frozen(first(i)), range(len(decode.records)), "decoding", progress)), ""


def _keys(decode: Decoder, mapped: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(pair_key(decode, i, mapped[i]) for i in range(len(decode.records)))


def pair_key(decode: Decoder, index: int, mapped: bytes) -> str:
    """SHA-256 over the inputs of a decoded pair: path, size and times of both files, channels, window, mapping."""
    record = decode.records[index]
    digest = hashlib.sha256(str(DECODING).encode())
    for path in (record.image, record.mask):
        assert path is not None
        digest.update(f"{path.resolve()}\0{FileState.of(path)}\0".encode())
    digest.update(f"{decode.channels}\0{decode.window.of(record.group)}\0".encode())
    digest.update(mapped)
    return digest.hexdigest()


def _frozen(pair: Pair) -> Pair:
    for array in pair:
        array.setflags(write=False)
    return pair
