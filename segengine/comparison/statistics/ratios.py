"""Scores as ratios of sums over the sampling units: groups (patients, videos), or images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.measures import Kind
from segengine.comparison.statistics.intervals import Floats
from segengine.metrics.stacked import Stacked


class Measured(Protocol):
    """One model's counts int64 [N, 3, K] and, by metric, its values float64 [N, K], NaN for images without a value."""

    @property
    def stacked(self) -> Stacked: ...
    @property
    def image_values(self) -> Mapping[str, NDArray[np.float64]]: ...


def places(groups: Sequence[str]) -> NDArray[np.int64]:
    """The number of each image's group, int64 [N], 0..G-1."""
    return np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


def unit_ratios(model: Measured, place: NDArray[np.int64], metric: str, kind: Kind) -> tuple[Floats, Floats]:
    """Numerators and denominators [G, K] of a metric, from a model's values per image or from its counts."""
    if metric in model.image_values:
        return value_ratios(model.image_values[metric], place, kind)
    return ratios(model.stacked, place, metric, kind)


def ratios(stacked: Stacked, place: NDArray[np.int64], metric: str, kind: Kind) -> tuple[Floats, Floats]:
    """Numerators and denominators float64 [G, K] from counts int64 [N, 3, K]; the score is the ratio of their sums.

    Pooled Dice is sum 2 tp / sum (truth + predicted), IoU sum tp / sum (truth + predicted - tp). Per image the numerator
    is the sum of a group's image scores and the denominator their number: an image with the class in neither truth nor
    prediction has no score and is excluded from both. This is decided per model, as in the tables of scores: if only images were
    used in which both models have a score, a false prediction of a class would be ignored where the other model is correct.
    Per group the numerator is the group's pooled score and the denominator 1, or both are 0 if it has none, so that each
    patient counts once, regardless of the number of slices (Metrics Reloaded, Maier-Hein et al. 2024).
    """
    right, truth, predicted = (stacked[:, row].astype(np.float64) for row in range(3))
    union = truth + predicted
    numerators, denominators = (2 * right, union) if metric == "dice" else (right, union - right)
    if kind == "per_image":
        numerators, denominators = _own(numerators, denominators)
    numerators, denominators = summed(numerators, place), summed(denominators, place)
    return _own(numerators, denominators) if kind == "per_group" else (numerators, denominators)


def value_ratios(values: Floats, place: NDArray[np.int64], kind: Kind = "per_image") -> tuple[Floats, Floats]:
    """Numerators and denominators from values float64 [N, K], NaN for images without a value: sum and number in each group.

    Per group: the mean of the group's values, and 1.
    """
    defined = ~np.isnan(values)
    sums = summed(np.where(defined, values, 0.0), place), summed(defined.astype(np.float64), place)
    return _own(*sums) if kind == "per_group" else sums


def summed(values: Floats, place: NDArray[np.int64]) -> Floats:
    """Sums [G, K] of the rows [N, K] of each group."""
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    return np.asarray(np.add.reduceat(values[order], starts, axis=0))


def _own(numerators: Floats, denominators: Floats) -> tuple[Floats, Floats]:
    """The ratio of each row, and 1; both 0 if it is undefined."""
    defined = denominators > 0
    return np.divide(numerators, denominators, out=np.zeros_like(numerators), where=defined), defined.astype(np.float64)
