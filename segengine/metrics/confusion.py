"""Confusion counts: exact, int64, without ignored pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

IGNORE = 255
"""Class of ignored pixels, excluded from losses and scores."""

Confusion = NDArray[np.int64]
"""int64 [K, K]: rows truth, columns predicted."""


@dataclass(eq=False)
class ImageCounts(Mapping[int, Confusion]):
    """Sparse confusion counts of many images by index: memory grows with the non-zero cells, not with K^2.

    As a mapping it returns each image's dense table [K, K], in order of the indices.
    """

    num_classes: int
    _cells: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=dict)

    @classmethod
    def of(cls, counts: Mapping[int, Confusion], num_classes: int) -> ImageCounts:
        """From dense tables by image index; returns an ImageCounts unchanged."""
        if isinstance(counts, ImageCounts):
            return counts
        result = cls(num_classes)
        for index, table in counts.items():
            result.add(index, table)
        return result

    def add(self, index: int, table: Confusion) -> None:
        """Add an image's table [K, K], once per image."""
        flat = np.asarray(table, dtype=np.int64).ravel()
        cells = np.flatnonzero(flat)
        self._cells[index] = (cells, flat[cells])

    def add_rows(
        self,
        indices: NDArray[np.int64],
        truth: NDArray[np.int64],
        predicted: NDArray[np.int64],
        pixels: NDArray[np.int64],
    ) -> None:
        """Add many images at once from rows sorted by image."""
        cells = truth * self.num_classes + predicted
        starts = np.flatnonzero(np.diff(indices, prepend=indices[:1] - 1)).tolist()
        for begin, end in zip(starts, [*starts[1:], len(indices)], strict=False):
            self._cells[int(indices[begin])] = (cells[begin:end], pixels[begin:end])

    def packed(self) -> NDArray[np.int64]:
        """All counts as int64 [n, 3]: index, truth * K + predicted, pixels; for an image without a valid pixel -1 and 0."""
        parts = [
            np.stack([np.full(len(cells), index), cells, pixels], axis=1) if len(cells) else np.array([[index, -1, 0]])
            for index, (cells, pixels) in sorted(self._cells.items())
        ]
        return np.concatenate([np.zeros((0, 3), np.int64), *parts])

    @classmethod
    def unpacked(cls, packed: NDArray[np.int64], num_classes: int) -> ImageCounts:
        """Inverse of `packed`, also for several concatenated arrays of disjoint images."""
        result = cls(num_classes)
        packed = packed[np.argsort(packed[:, 0], kind="stable")]
        indices, starts = np.unique(packed[:, 0], return_index=True)
        for index, rows in zip(indices.tolist(), np.split(packed, starts[1:]), strict=False):
            filled = rows[rows[:, 1] >= 0]
            result._cells[index] = (filled[:, 1], filled[:, 2])
        return result

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    @property
    def indices(self) -> list[int]:
        return sorted(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    def __getitem__(self, index: int) -> Confusion:
        cells, pixels = self._cells[index]
        table = np.zeros(self.num_classes**2, dtype=np.int64)
        table[cells] = pixels
        return table.reshape(self.num_classes, self.num_classes)

    def rows(self) -> Iterator[tuple[int, int, int, int]]:
        """(index, truth, predicted, pixels) of all non-zero cells, in order."""
        for index in self.indices:
            for cell, pixels in zip(*self._cells[index], strict=True):
                yield index, int(cell) // self.num_classes, int(cell) % self.num_classes, int(pixels)

    def total(self, indices: Iterable[int] | None = None) -> Confusion:
        """The sum over images [K, K]."""
        table = np.zeros(self.num_classes**2, dtype=np.int64)
        for index in self._cells if indices is None else indices:
            cells, pixels = self._cells[index]
            table[cells] += pixels
        return table.reshape(self.num_classes, self.num_classes)

    def stacked(self) -> NDArray[np.int64]:
        """True positives, truth and predicted pixels by image and class: int64 [N, 3, K], images in order of their index."""
        result = np.zeros((len(self), 3, self.num_classes), dtype=np.int64)
        for i, index in enumerate(self.indices):
            cells, pixels = self._cells[index]
            truth, predicted = np.divmod(cells, self.num_classes)
            np.add.at(result[i, 1], truth, pixels)
            np.add.at(result[i, 2], predicted, pixels)
            right = truth == predicted
            result[i, 0, truth[right]] = pixels[right]
        return result
