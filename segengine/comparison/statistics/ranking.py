"""Stability of the ranking: random draws of all mean scores with the variance of the intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.statistics.intervals import Floats, Jackknife

_AT_ONCE = 4096


@dataclass(frozen=True)
class Ranking:
    """Over draws: the fraction in which each variant is first, its mean rank, and the range of ranks in 95 % of the draws.

    Ties share a rank: k tied first variants count 1 / k each, and `mean_rank` uses average ranks. `stability`: mean
    of Kendall's tau-b between the order of draws and the observed order; 1: always the same order.
    """

    best: tuple[float, ...]
    mean_rank: tuple[float, ...]
    ranks: tuple[tuple[int, int], ...]
    stability: float


def ranking(
    variants: Sequence[Jackknife], widths: Floats, resamples: int, seed: int, *, sign: int = 1, confidence: float = 0.95,
    training: bool = False,
) -> Ranking | None:  # fmt: skip
    """The ranking of mean scores, highest first, or lowest first if `sign` is -1.

    `variants`: scores [S, 1] and influences [S, G, 1]; `widths` [P]: half-widths of the simultaneous intervals of all pairs.
    Draws are normally distributed around the observed scores: units contribute by their influences, common to all variants, seeds
    (for verdicts about `training`) by their variance. The spread is scaled so that no pair's is narrower than its simultaneous
    interval; a variant is first in nearly all draws only if it is better than all others. None if the scaling
    required by one pair with few degrees of freedom would often reverse another pair whose difference is certain.
    """
    from scipy.special import ndtri

    seen = np.array([each.scores[:, -1].mean() for each in variants])
    influence = np.stack([each.influence[..., -1].mean(axis=0) for each in variants], axis=1)
    units = len(influence)
    influence = influence * np.sqrt((units - 1) / units)
    own = np.array([_seed_variance(each) if training else 0.0 for each in variants])
    drawn = np.array([
        ((influence[:, i] - influence[:, j]) ** 2).sum() + own[i] + own[j]
        for i in range(len(seen)) for j in range(i + 1, len(seen))
    ])  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(drawn > 0, widths / np.sqrt(drawn), 0.0)
    stretch = ratio.max() / ndtri(0.5 + confidence / 2)
    gaps = np.array([abs(seen[i] - seen[j]) for i in range(len(seen)) for j in range(i + 1, len(seen))])
    if ((gaps > widths) & (gaps < ndtri(0.95) * stretch * np.sqrt(drawn))).any():
        return None
    rng = np.random.default_rng(seed)
    sums = np.zeros((2, len(seen)))
    agreement, ends = 0.0, np.zeros((2, len(seen), len(seen) + 1), dtype=np.int64)
    for start in range(0, resamples, _AT_ONCE):
        count = min(_AT_ONCE, resamples - start)
        scores = rng.standard_normal((count, units)) @ influence + rng.standard_normal((count, len(seen))) * np.sqrt(
            own
        )
        low, high, mean = fair_ranks(-sign * np.round(seen + stretch * scores, 12))
        first = low == 1
        sums += np.stack([(first / first.sum(axis=1, keepdims=True)).sum(axis=0), mean.sum(axis=0)])
        agreement += tau_b(mean, fair_ranks(-sign * np.round(seen, 12)[None])[2][0]).sum()
        for each, ranks in zip(ends, (low, high), strict=True):
            np.add.at(each, (np.arange(len(seen)), ranks.astype(np.int64)), 1)
    low, high = (
        (each.cumsum(axis=1) >= at * resamples).argmax(axis=1) for each, at in zip(ends, (0.025, 0.975), strict=True)
    )
    return Ranking(
        tuple((sums[0] / resamples).tolist()), tuple((sums[1] / resamples).tolist()),
        tuple((int(a), int(b)) for a, b in zip(low, high, strict=True)), float(agreement / resamples),
    )  # fmt: skip


def fair_ranks(values: Floats) -> tuple[Floats, Floats, Floats]:
    """The lowest, highest and average rank of each value in its row [R, V], 1 for the smallest; ties share ranks."""
    from scipy.stats import rankdata

    low, high = (rankdata(values, method=method, axis=1).astype(np.float64) for method in ("min", "max"))
    return low, high, (low + high) / 2


def tau_b(ranks: Floats, other: Floats) -> NDArray[np.float64]:
    """Kendall's tau-b of each row of `ranks` [R, V] with `other` [V] (Kendall 1945); 1 if both have only ties."""
    concordant = np.zeros(len(ranks))
    own, theirs = np.zeros(len(ranks)), 0.0
    for i in range(len(other) - 1):
        first, second = np.sign(ranks[:, i, None] - ranks[:, i + 1 :]), np.sign(other[i] - other[i + 1 :])
        concordant += first @ second
        own += np.abs(first).sum(axis=1)
        theirs += np.abs(second).sum()
    norm = np.sqrt(own * theirs)
    alike = (own == 0) & (theirs == 0)
    return np.asarray(np.where(norm > 0, concordant / np.where(norm > 0, norm, 1), np.where(alike, 1.0, 0.0)))


def _seed_variance(each: Jackknife) -> float:
    """Variance of a variant's mean due to training, in addition to that of its units."""
    count, units = each.influence.shape[:2]
    seed = each.scores[:, -1].var(ddof=1) / count
    both = each.influence[..., -1].var(axis=0, ddof=1).sum() * (units - 1) / units / count
    return float(max(seed - both, 0.0))
