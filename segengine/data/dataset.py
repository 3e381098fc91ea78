"""Everything decoded and known about the data of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.data.mapping import Mapper
from segengine.data.records import Record

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Dataset:
    """The data of an experiment.

    `records` are sorted by id; `splits` maps train, validation and test to sorted indices into them; `sizes` is
    int64 [N, 2] (height, width); `class_pixels` int64 [N, K]; `window` is the range of 16-bit and float images
    that becomes 0..255 (None: all 8-bit); `warnings` are what the user must hear; `pairs` decodes pair i.
    """

    records: tuple[Record, ...]
    splits: Mapping[str, tuple[int, ...]]
    mapper: Mapper
    channels: int
    window: tuple[float, float] | None
    sizes: NDArray[np.int64]
    class_pixels: NDArray[np.int64]
    fingerprint: str
    warnings: tuple[str, ...]
    pairs: Callable[[int], Pair]

    def pair(self, index: int) -> Pair:
        """Image uint8 [H, W, C] and classes uint8 [H, W] (255 = ignore) of record `index`; not to be written to."""
        return self.pairs(index)
