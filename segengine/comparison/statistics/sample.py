"""Input of all statistics: numerators and denominators of all models per unit, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.measures import Kind
from segengine.comparison.statistics.intervals import Floats
from segengine.comparison.statistics.ratios import value_ratios


@dataclass(frozen=True, eq=False)
class Sample:
    """One metric of one kind of all models that are compared.

    `numerators`, `denominators`: for each variant float64 [S, G, K], S its seeds, G units (groups or images), K classes;
    a score is the ratio of their sums over units. `present` bool [G, K]: units with the class in the truth. `averaged`:
    the classes of the mean, the same for all variants. `values`: for a metric that can be undefined in an image that has the
    class, float64 [S, N, K] for each variant, NaN where there is none, `lost` bool [S, N, K] where that is so though truth
    or prediction has the class, and `place` int64 [N] the unit of each image; then every pair is compared without the
    images that one of its models lost. `bounded`: whether scores lie in 0..1; `sign`: 1 where
    higher is better, else -1. `paired`: pairs of variants (i < j) whose seeds share initial weights and order, as equal
    architectures with equal seeds do: their seeds are compared one by one. `folds`: whether units come from several
    cross-validation folds, whose models share training images.
    """

    variants: tuple[str, ...]
    classes: tuple[str, ...]
    averaged: tuple[int, ...]
    numerators: tuple[Floats, ...]
    denominators: tuple[Floats, ...]
    present: NDArray[np.bool_]
    kind: Kind = "pooled"
    bounded: bool = True
    sign: int = 1
    values: tuple[Floats, ...] | None = None
    lost: tuple[NDArray[np.bool_], ...] = ()
    place: NDArray[np.int64] | None = None
    paired: frozenset[tuple[int, int]] = frozenset()
    folds: bool = False

    @property
    def units(self) -> int:
        return len(self.present)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The number of seeds of each variant, int64 [V]."""
        return np.array([len(each) for each in self.denominators])

    def defined(self) -> NDArray[np.bool_]:
        """Whether each class has a score in all models of each variant, bool [V, K]."""
        return np.asarray(np.stack([each.sum(axis=1).min(axis=0) for each in self.denominators]) > 0)

    def compared(self) -> tuple[int, ...]:
        """The averaged classes that can be compared: for scores, those defined for every variant that has any; for values, for any."""
        defined = self.defined()
        having = defined[defined[:, list(self.averaged)].max(axis=1, initial=False)]
        if not len(having):
            return ()
        known = (having.min(axis=0) if self.values is None else having.max(axis=0)).tolist()
        return tuple(k for k in self.averaged if known[k])

    @cached_property
    def _lost(self) -> tuple[NDArray[np.bool_], ...]:
        """Values lost by at least one model, bool [N, K] per variant."""
        return tuple(np.asarray(each.any(axis=0)) for each in self.lost)

    def masked(self, i: int, j: int) -> bool:
        """Whether the pair is compared without some images."""
        return self.values is not None and bool((self._lost[i] | self._lost[j]).any())

    def pair(self, i: int, j: int) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Numerators and denominators of two variants; for values, without the images that one of their models lost."""
        if self.values is None or not self.masked(i, j):
            return (self.numerators[i], self.denominators[i]), (self.numerators[j], self.denominators[j])
        known = ~(self._lost[i] | self._lost[j])
        return self._masked(self.values[i], known), self._masked(self.values[j], known)

    def _masked(self, values: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        assert self.place is not None
        each = [value_ratios(np.where(known, one, np.nan), self.place, self.kind) for one in values]
        return np.stack([a for a, _ in each]), np.stack([b for _, b in each])

    @cached_property
    def _held(self) -> NDArray[np.int64]:
        return np.asarray(self.present.sum(axis=0))

    def held(self, first: Floats, second: Floats) -> NDArray[np.int64]:
        """Number of units per class, int64 [K], from the denominators [S, G, K] of both variants of a pair.

        Units with the class in the truth; for values, units in which all models of the pair have one.
        """
        if self.values is None:
            return self._held
        return np.asarray((np.minimum(first.min(axis=0), second.min(axis=0)) > 0).sum(axis=0))


def sample_of_values(
    values: Sequence[Floats], lost: Sequence[NDArray[np.bool_]], place: NDArray[np.int64], *, variants: Sequence[str],
    classes: Sequence[str], averaged: Sequence[int], kind: Kind = "per_image", bounded: bool = False, sign: int = -1,
    paired: frozenset[tuple[int, int]] = frozenset(), folds: bool = False,
) -> Sample:  # fmt: skip
    """Of a metric with a value in each image: see `Sample` for `values` and `lost`, one array [S, N, K] for each variant."""
    sums = [[value_ratios(one, place, kind) for one in each] for each in values]
    numerators, denominators = ([np.stack([pair[part] for pair in each]) for each in sums] for part in (0, 1))
    held = np.array([(each > 0).all(axis=0) for each in denominators])
    # A variant without any value of a class takes no unit from the others: its own scores are undefined.
    present = np.asarray((held | ~held.any(axis=1, keepdims=True)).all(axis=0) & held.any(axis=0))
    whole = not any(each.any() for each in lost)
    return Sample(
        tuple(variants), tuple(classes), tuple(averaged), tuple(numerators), tuple(denominators), present, kind,
        bounded, sign, None if whole else tuple(values), () if whole else tuple(lost), place, paired, folds,
    )  # fmt: skip


def with_worst(values: Floats, one_sided: NDArray[np.bool_], worst: Floats) -> Floats:
    """Values [N, K] with the worst possible value for images with the class only in truth or only in prediction.

    `one_sided` bool [N, K]: these images and classes; `worst` float64 [N]: for distances, the image's diagonal in their unit.
    """
    return np.where(np.isnan(values) & one_sided, worst[:, None], values)


def undefined_rates(undefined: NDArray[np.bool_], place: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Numerators and denominators [G, 1] of the rate of undefined images, bool [N], compared like any score (lower is better)."""
    return value_ratios(undefined.astype(np.float64)[:, None], place)
