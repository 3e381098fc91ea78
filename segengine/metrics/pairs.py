"""One image's truth and prediction as metrics see them: ignored pixels are outside of every class in both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from segengine.metrics.confusion import IGNORE

T = TypeVar("T")
Classes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
STATES = ("neither", "truth only", "prediction only", "both")
"""Where a class is among an image's valid pixels."""


@dataclass(frozen=True, eq=False)
class ImagePair:
    """Truth and prediction of one image, at the file's own size.

    `truth`: uint8 [H, W], 0..K-1, 255 = ignored. `predicted`: uint8 [H, W], 0..K-1. `measured`: the classes that means are
    over; the others (background) aren't measured. `spacing`: height and width of a pixel, which lengths are in.
    What one metric finds of a class (its surfaces' distances, say) others may use: see `once`.
    """

    truth: Classes
    predicted: Classes
    num_classes: int
    measured: tuple[int, ...]
    spacing: tuple[float, float] = (1.0, 1.0)
    probabilities: Callable[[], Iterable[NDArray[np.float32]]] | None = None
    """Gives the class probabilities float32 [K, h, W], band of rows by band from the top: large images don't fit as a whole."""
    _found: dict[object, object] = field(default_factory=dict)

    def bands(self) -> Iterator[tuple[Classes, NDArray[np.float32]]]:
        """Truth uint8 [h, W] and probabilities float32 [K, h, W] of the image's rows, band by band.

        Raises:
            ValueError: probabilities weren't asked for: the metric doesn't say that it needs them.
        """
        if self.probabilities is None:
            raise ValueError("there are no probabilities; declare needs = 'probabilities'")
        top = 0
        for band in self.probabilities():
            yield self.truth[top : top + band.shape[1]], band
            top += band.shape[1]

    def masks(self, k: int) -> tuple[Mask, Mask]:
        """Class k in truth and prediction: bool [h, w] each, cut to the box that holds both, with a border of False.

        The border makes whatever is outside of the image, like ignored pixels, outside of the class.
        """
        return self.once(("masks", k), lambda: self._masks(k))

    def state(self, k: int) -> str:
        """One of STATES: where class k is among the valid pixels."""
        truth, predicted = self.masks(k)
        return STATES[bool(truth.any()) + 2 * bool(predicted.any())]

    def once(self, key: object, find: Callable[[], T]) -> T:
        """What `find` gives, found once for this image."""
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]  # type: ignore[return-value]

    def _masks(self, k: int) -> tuple[Mask, Mask]:
        truth = self.truth == k
        predicted = (self.predicted == k) & (self.truth != IGNORE)
        either = truth | predicted
        rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
        if not rows.size:
            return np.zeros((2, 2), bool), np.zeros((2, 2), bool)
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return np.pad(truth[box], 1), np.pad(predicted[box], 1)


class ImageMetric(Protocol):
    """What a metric builds: float64 [K], one value a class, or [1] where it is of the image as a whole; NaN is undefined."""

    def __call__(self, pair: ImagePair, /) -> Floats:
        """The values of one image."""


def by_class(pair: ImagePair, value: Callable[[ImagePair, int], float]) -> Floats:
    """`value` of each measured class, float64 [K]; NaN for the others, and for classes in neither truth nor prediction."""
    values = np.full(pair.num_classes, np.nan)
    for k in pair.measured:
        if pair.state(k) != "neither":
            values[k] = value(pair, k)
    return values
