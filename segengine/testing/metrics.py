"""What a metric promises: one value a class or an image, NaN where undefined, never infinite, blind to ignored pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from segengine.data.masks.mapping import IGNORE
from segengine.metrics.pairs import ImagePair
from segengine.testing.subject import Check, Subject

_CLASSES = 4
"""0 is the background, which isn't measured, and 3 is in neither truth nor prediction."""


def gives_values(subject: Subject) -> Iterator[str]:
    """A metric gives float64 values, one a class or one an image, finite or NaN, and changes nothing that it gets."""
    metric, pair = subject.component.build(), _pair(*_example())
    if not callable(metric):
        yield f"build() gives {type(metric).__name__}, which can't be called; give a function of an ImagePair"
        return
    before = pair.truth.copy(), pair.predicted.copy()
    values, wanted = metric(pair), (_CLASSES if subject.cls.by_class else 1,)  # type: ignore[attr-defined]
    if not isinstance(values, np.ndarray) or values.shape != wanted or values.dtype != np.float64:
        given = f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else type(values).__name__
        yield f"gives {given}; give float64 {list(wanted)}, or set by_class: one value a class, or one an image"
        return
    if np.isinf(values).any():
        yield "gives an infinite value; give NaN where it is undefined"
    if not (np.array_equal(before[0], pair.truth) and np.array_equal(before[1], pair.predicted)):
        yield "changes truth or prediction; copy what you change"
    if not np.array_equal(values, metric(_pair(*_example())), equal_nan=True):
        yield "gives other values for the same image; let it depend on nothing but the image"


def perfect_is_best(subject: Subject) -> Iterator[str]:
    """No prediction is better than the truth itself, in the direction that `better` states."""
    metric = subject.component.build()
    truth, predicted = _example()
    perfect, other = (
        metric(_pair(truth, np.where(truth == IGNORE, 0, truth).astype(np.uint8))),
        metric(_pair(truth, predicted)),
    )
    sign = 1 if subject.cls.better == "higher" else -1  # type: ignore[attr-defined]
    if not np.nanmean(sign * (perfect - other)) > 0:
        yield f"the truth itself scores {np.nanmean(perfect):g}, a wrong prediction {np.nanmean(other):g}; set better: higher or lower"


def absent_classes_are_undefined(subject: Subject) -> Iterator[str]:
    """A class in neither truth nor prediction is NaN, and so is an image whose pixels are all ignored."""
    metric, (truth, predicted) = subject.component.build(), _example()
    if subject.cls.by_class and not np.isnan(metric(_pair(truth, predicted))[3]):  # type: ignore[attr-defined]
        yield "gives a value for a class in neither truth nor prediction; give NaN (segengine.plugin.ImagePair.state tells)"
    values = metric(_pair(np.full_like(truth, IGNORE), predicted))
    if not np.isnan(values).all():
        yield "gives a value where all pixels are ignored; give NaN"


def one_sided_is_not_infinite(subject: Subject) -> Iterator[str]:
    """A class that only truth or prediction has is NaN or a number, never infinite."""
    metric, (truth, _) = subject.component.build(), _example()
    for sides in (
        (truth, np.zeros_like(truth)),
        (np.zeros_like(truth), np.where(truth == IGNORE, 0, truth).astype(np.uint8)),
    ):
        if np.isinf(metric(_pair(*sides))).any():
            yield "is infinite for a class that only truth or prediction has; give NaN, or the worst value"
            return


def ignored_pixels_count_nowhere(subject: Subject) -> Iterator[str]:
    """What is predicted where the truth is ignored changes nothing."""
    metric, (truth, predicted) = subject.component.build(), _example()
    other = np.where(truth == IGNORE, 2, predicted).astype(np.uint8)
    if not np.array_equal(metric(_pair(truth, predicted)), metric(_pair(truth, other)), equal_nan=True):
        yield "predictions for ignored pixels change the value; use ImagePair.masks, or leave out where truth == IGNORE"


def _example() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Truth and prediction uint8 [32, 40]: two long bars, shifted and gnawed in the prediction, and some ignored pixels."""
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
    gives_values, perfect_is_best, absent_classes_are_undefined, one_sided_is_not_infinite, ignored_pixels_count_nowhere
)  # fmt: skip
