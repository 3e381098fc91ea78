"""Estimates of all pairs of variants and their joint tests, as arrays."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.statistics.family import Half, Rules, family
from segengine.comparison.statistics.intervals import (
    MINIMUM_SEEDS,
    MINIMUM_UNITS_OF_TRAINING,
    Estimate,
    Jackknife,
    estimate,
    jackknife,
)
from segengine.comparison.statistics.permutation import MINIMUM_UNITS
from segengine.comparison.statistics.sample import Sample


class Pair(NamedTuple):
    """A pair of variants; the columns of arrays are the classes `columns` and, last, the mean."""

    first: int
    second: int
    estimate: Estimate
    held: NDArray[np.int64]
    training: NDArray[np.bool_]


def judge_pairs(sample: Sample, rules: Rules) -> tuple[list[Pair], Half]:
    """Estimates of all pairs, and their tests; columns are those of `sample.compared()` and, last, the mean."""
    columns = list(sample.compared())
    own = [
        jackknife(a[..., columns], b[..., columns], range(len(columns)))
        for a, b in zip(sample.numerators, sample.denominators, strict=True)
    ]
    pairs = [_pair(sample, i, j, columns, own) for i, j in combinations(range(len(sample.variants)), 2)]
    tested = np.array([_tested(pair) for pair in pairs], dtype=bool).reshape(len(pairs), len(columns) + 1)
    training = np.array([pair.training for pair in pairs], dtype=bool).reshape(tested.shape)
    return pairs, family(sample, columns, [pair.estimate for pair in pairs], tested, rules, training=training)


def _pair(sample: Sample, i: int, j: int, columns: list[int], own: list[Jackknife]) -> Pair:
    """`own`: each variant's jackknife over all images."""
    first, second = sample.pair(i, j)
    each = own[i], own[j]
    if sample.masked(i, j):
        each = (
            jackknife(first[0][..., columns], first[1][..., columns], range(len(columns))),
            jackknife(second[0][..., columns], second[1][..., columns], range(len(columns))),
        )
    found = estimate(*each, paired=(i, j) in sample.paired)
    if sample.counts[i] == sample.counts[j]:
        found = found.without_influence()
    held = sample.held(first[1], second[1])[columns]
    least = held.min() if len(columns) else 0
    held = np.append(held, least)
    training = (held >= MINIMUM_UNITS_OF_TRAINING) & bool(sample.counts[[i, j]].min() >= MINIMUM_SEEDS)
    return Pair(i, j, found.where(training), held, training)


def _tested(pair: Pair) -> NDArray[np.bool_]:
    return np.asarray((pair.held >= MINIMUM_UNITS) & np.isfinite(pair.estimate.difference))
