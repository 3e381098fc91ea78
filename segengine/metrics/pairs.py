"""Truth and prediction of one image, the input of metrics; ignored pixels belong to no class in both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from segengine.metrics.confusion import IGNORE

T = TypeVar("T")
Classes = NDArray[np.uint8]
Region = NDArray[np.bool_]
Floats = NDArray[np.float64]
STATES = ("neither", "truth only", "prediction only", "both")
"""Presence of a class among an image's valid pixels."""


@dataclass(frozen=True, eq=False)
class ImagePair:
    """Truth and prediction of one image, at the file's own size.

    `truth`: uint8 [H, W], 0..K-1, 255 = ignored. `predicted`: uint8 [H, W], 0..K-1. `measured`: the classes that are
    averaged; others (background) are not measured. `spacing`: height and width of a pixel, the unit of lengths.
    Intermediate results (such as surface distances of a class) are shared between metrics by `once`.
    """

    truth: Classes
    predicted: Classes
    num_classes: int
    measured: tuple[int, ...]
    spacing: tuple[float, float] = (1.0, 1.0)
    probabilities: Callable[[], Iterable[NDArray[np.float32]]] | None = None
    """Yields class probabilities float32 [K, h, W] in bands of rows from the top, because large images don't fit into memory."""
    _found: dict[object, object] = field(default_factory=dict)

    def bands(self) -> Iterator[tuple[Classes, NDArray[np.float32]]]:
        """Truth uint8 [h, W] and probabilities float32 [K, h, W] of the image's rows, band by band.

        Raises:
            ValueError: no probabilities, because the metric does not declare that it needs them.
        """
        if self.probabilities is None:
            raise ValueError("there are no probabilities; declare needs = 'probabilities'")
        top = 0
        for band in self.probabilities():
            yield self.truth[top : top + band.shape[1]], band
            top += band.shape[1]

    def masks(self, k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Class k in truth and prediction: bool [h, w] each, cropped to the common bounding box, with a border of False.

        Pixels outside the image are, like ignored pixels, outside the class.
        """
        return self.once(("masks", k), lambda: self._masks(k))

    def state(self, k: int) -> str:
        """The presence of class k among the valid pixels, one of STATES."""
        truth, predicted = self.masks(k)
        return STATES[bool(truth.any()) + 2 * bool(predicted.any())]

    def once(self, key: object, find: Callable[[], T]) -> T:
        """The result of `find`, cached by `key` for this image."""
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]  # type: ignore[return-value]

    def _masks(self, k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        truth = self.truth == k
        predicted = (self.predicted == k) & (self.truth != IGNORE)
        either = truth | predicted
        rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
        if not rows.size:
            return np.zeros((2, 2), bool), np.zeros((2, 2), bool)
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return np.pad(truth[box], 1), np.pad(predicted[box], 1)


class ImageMetric(Protocol):
    """Result of `Metric.build`: returns float64 [K], one value per class, or [1] for the whole image; NaN is undefined."""

    def __call__(self, pair: ImagePair, /) -> Floats:
        """The values of one image."""


def by_class(pair: ImagePair, value: Callable[[ImagePair, int], float]) -> Floats:
    """`value` of each measured class, float64 [K]; NaN for the others, and for classes in neither truth nor prediction."""
    values = np.full(pair.num_classes, np.nan)
    for k in pair.measured:
        if pair.state(k) != "neither":
            values[k] = value(pair, k)
    return values
