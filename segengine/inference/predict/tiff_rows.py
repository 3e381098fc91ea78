"""Writes TIFF files of any size row by row, in tiles, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.inference.predict.georeference import Georeference

TILE = 256
_QUEUED = 2  # bands waiting to be written
_BIG = 2**31  # bytes above which a file may need 64-bit offsets


class TiffRows:
    """A tiled TIFF of `shape` [H, W] or [H, W, C], lossless, written from rows that `put` gives from the top.

    `colours`: palette uint16 [3, 256], as TIFF stores it. Holds at most two bands of rows and one row of tiles.
    """

    def __init__(
        self, path: Path, shape: Sequence[int], dtype: Any, georeference: Georeference | None,
        *, colours: NDArray[np.uint16] | None = None,
    ) -> None:  # fmt: skip
        self.path, self.shape, self.dtype = path, tuple(shape), np.dtype(dtype)
        self._tags = georeference.tags if georeference else ()
        self._colours = colours
        self._queue: Queue[NDArray[Any] | None] = Queue(_QUEUED)
        self._error: BaseException | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"write {path.name}", daemon=True)
        self._thread.start()

    def put(self, rows: NDArray[Any]) -> None:
        """The next rows [h, W] or [h, W, C]. Raises what failed in the thread."""
        if self._error is not None:
            raise self._error
        self._queue.put(np.ascontiguousarray(rows, self.dtype))

    def close(self, *, complete: bool = True) -> None:
        """End the file: with `complete`, all rows were given. Raises what failed in the thread."""
        if not complete:
            self._error = self._error or EOFError("rows are missing")
        self._queue.put(None)
        self._thread.join()
        if complete and self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._write()
        except BaseException as error:
            self._error = self._error or error
            while not self._ended and self._queue.get() is not None:
                pass

    def _write(self) -> None:
        import tifffile

        samples = self.shape[2] if len(self.shape) == 3 else 1
        photometric = (
            "palette"
            if self._colours is not None
            else "rgb"
            if samples == 3 and self.dtype == np.uint8
            else "minisblack"
        )
        extra = [0] * (samples - 1) if photometric == "minisblack" and samples > 1 else None
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        with tifffile.TiffWriter(self.path, bigtiff=size > _BIG) as file:
            file.write(
                self._tiles(), shape=self.shape, dtype=self.dtype, tile=(TILE, TILE), photometric=photometric,
                planarconfig="contig" if samples > 1 else None, extrasamples=extra, colormap=self._colours,
                compression="zlib", predictor=self.dtype.kind == "f" or None, extratags=self._tags, metadata=None,
            )  # fmt: skip

    def _tiles(self) -> Iterator[NDArray[Any]]:
        width = self.shape[1]
        for rows in self._tile_rows():
            for left in range(0, width, TILE):
                part = rows[:, left : left + TILE]
                tile = np.zeros((TILE, TILE, *self.shape[2:]), self.dtype)
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile

    def _tile_rows(self) -> Iterator[NDArray[Any]]:
        """Rows regrouped to the height of a tile."""
        kept: list[NDArray[Any]] = []
        count = 0
        while (rows := self._queue.get()) is not None:
            kept.append(rows)
            count += len(rows)
            while count >= TILE:
                joined = np.concatenate(kept) if len(kept) > 1 else kept[0]
                yield joined[:TILE]
                kept = [joined[TILE:]]
                count -= TILE
        self._ended = True
        if self._error is not None:
            raise self._error
        if count:
            yield np.concatenate(kept)
