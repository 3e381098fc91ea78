"""Counting which class was taken for which: exact, int64, ignored pixels left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

IGNORE = 255
"""The class of pixels that count nowhere: neither in the loss nor in a score."""

Confusion = NDArray[np.int64]
"""int64 [K, K]: rows truth, columns predicted."""


@dataclass
class ImageCounts:
    """The confusions of many images, only the cells that aren't zero: memory grows with what occurs, not with K^2."""

    num_classes: int
    _cells: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=dict)

    @classmethod
    def of(cls, counts: Mapping[int, Confusion], num_classes: int) -> ImageCounts:
        """From dense tables by image index."""
        result = cls(num_classes)
        for index, table in counts.items():
            result.add(index, table)
        return result

    def add(self, index: int, table: Confusion) -> None:
        """Add an image's table [K, K] (once an image)."""
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
        """(index, truth, predicted, pixels) of all cells that aren't zero, in order."""
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
