"""Checks of metrics: one value per class or per image, NaN if undefined, never infinite, independent of ignored pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from segengine.components.lookup import SCORES
from segengine.data.masks.mapping import IGNORE
from segengine.metrics.checked import value_problem
from segengine.metrics.pairs import ImagePair
from segengine.testing.subject import Check, Subject

_CLASSES = 4
"""Class 0 is the background, which is not measured; class 3 is in neither truth nor prediction."""


def gives_values(subject: Subject) -> Iterator[str]:
    """Values are float64, one per class or one per image, finite or NaN, and the inputs are not modified."""
    metric, pair = subject.component.build(), _pair(*_example())
    if not callable(metric):
        yield f"build() returns {type(metric).__name__}, which is not callable; return a function of an ImagePair"
        return
    before = pair.truth.copy(), pair.predicted.copy()
    values, number = metric(pair), _CLASSES if subject.cls.by_class else 1  # type: ignore[attr-defined]
    if problem := value_problem(values, number, share=not subject.cls.length):  # type: ignore[attr-defined]
        yield problem
        return
    if not (np.array_equal(before[0], pair.truth) and np.array_equal(before[1], pair.predicted)):
        yield "truth or prediction is modified; work on a copy"
    if not np.array_equal(values, metric(_pair(*_example())), equal_nan=True):
        yield "values differ between two calls for the same image; keep no state"


def perfect_is_best(subject: Subject) -> Iterator[str]:
    """A perfect prediction has a better value than a wrong one, in the direction of `better`."""
    metric = subject.component.build()
    truth, predicted = _example()
    perfect, other = (
        metric(_pair(truth, np.where(truth == IGNORE, 0, truth).astype(np.uint8))),
        metric(_pair(truth, predicted)),
    )
    sign = 1 if subject.cls.better == "higher" else -1  # type: ignore[attr-defined]
    if not np.nanmean(sign * (perfect - other)) > 0:
        yield (
            f"the value of a perfect prediction is {np.nanmean(perfect):g}, of a wrong one {np.nanmean(other):g}; set `better` "
            'to "higher" or "lower"'
        )


def absent_classes_are_undefined(subject: Subject) -> Iterator[str]:
    """The value is NaN for a class in neither truth nor prediction, and for an image in which all pixels are ignored."""
    metric, (truth, predicted) = subject.component.build(), _example()
    if subject.cls.by_class and not np.isnan(metric(_pair(truth, predicted))[3]):  # type: ignore[attr-defined]
        yield "returns a value for a class in neither truth nor prediction; return NaN (see segengine.plugin.ImagePair.state)"
    values = metric(_pair(np.full_like(truth, IGNORE), predicted))
    if not np.isnan(values).all():
        yield "returns a value for an image in which all pixels are ignored; return NaN"


def one_sided_is_not_infinite(subject: Subject) -> Iterator[str]:
    """The value is not infinite for a class that is in the truth only or in the prediction only."""
    metric, (truth, _) = subject.component.build(), _example()
    for sides in (
        (truth, np.zeros_like(truth)),
        (np.zeros_like(truth), np.where(truth == IGNORE, 0, truth).astype(np.uint8)),
    ):
        if np.isinf(metric(_pair(*sides))).any():
            yield "returns infinity for a class in the truth only or in the prediction only; return NaN, or the worst value"
            return


def shares_are_bounded(subject: Subject) -> Iterator[str]:
    """Values lie in 0..1 unless `length` is set, also where the prediction is far from the truth."""
    metric = subject.component.build()
    for corner in (slice(0, 2), slice(30, 32)):
        truth, predicted = np.zeros((2, 32, 40), np.uint8)
        truth[0:2, 0:2], predicted[corner, 36:40] = 1, 1
        values = metric(_pair(truth, predicted))
        if problem := value_problem(values, values.size, share=not subject.cls.length):  # type: ignore[attr-defined]
            yield problem
            return


def has_no_name_of_a_score(subject: Subject) -> Iterator[str]:
    """Its name is not that of a score that segengine computes from counts."""
    if subject.component.name in SCORES:
        yield f"the name '{subject.component.name}' is that of a score that segengine computes itself; choose another one"


def ignored_pixels_count_nowhere(subject: Subject) -> Iterator[str]:
    """Predictions at ignored pixels do not change the values."""
    metric, (truth, predicted) = subject.component.build(), _example()
    other = np.where(truth == IGNORE, 2, predicted).astype(np.uint8)
    if not np.array_equal(metric(_pair(truth, predicted)), metric(_pair(truth, other)), equal_nan=True):
        yield "predictions at ignored pixels change the value; use ImagePair.masks, or exclude pixels where truth == IGNORE"


def _example() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Truth and prediction uint8 [32, 40]: two bars, shifted and interrupted in the prediction, and some ignored pixels."""
    truth = np.zeros((32, 40), np.uint8)
    truth[4:12, 3:36], truth[18:27, 5:33] = 1, 2
    predicted = np.roll(truth, (3, 2), axis=(0, 1))
    predicted[:, 20:24] = 0
    truth[8:20, 12:15] = IGNORE
    return truth, predicted


def _pair(truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> ImagePair:
    probabilities = np.full((_CLASSES, *truth.shape), 0.04, np.float32)
    np.put_along_axis(probabilities, predicted[None].astype(np.int64), np.float32(0.88), axis=0)

    def bands() -> list[NDArray[np.float32]]:
        return [probabilities[:, :20], probabilities[:, 20:]]

    return ImagePair(truth, predicted, _CLASSES, (1, 2), (1.0, 1.0), bands)


CHECKS: tuple[Check, ...] = (
    gives_values, perfect_is_best, absent_classes_are_undefined, one_sided_is_not_infinite, shares_are_bounded, has_no_name_of_a_score,
    ignored_pixels_count_nowhere
)  # fmt: skip
