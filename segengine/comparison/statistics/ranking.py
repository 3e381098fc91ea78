"""How firm the order of the variants is: draws of all mean scores by the variance of the intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.statistics.intervals import Floats, Jackknife

_AT_ONCE = 4096


@dataclass(frozen=True)
class Ranking:
    """Over draws: how often each variant came first, its mean rank and the ranks that 95 % of the draws lie in.

    Variants that tie share a rank: k firsts count 1 / k each, and `mean_rank` is of average ranks. `stability`: the mean
    of Kendall's tau-b between the draws' order and the one seen; 1 is always the same order.
    """

    best: tuple[float, ...]
    mean_rank: tuple[float, ...]
    ranks: tuple[tuple[int, int], ...]
    stability: float


def ranking(
    variants: Sequence[Jackknife], widths: Floats, resamples: int, seed: int, *, sign: int = 1, confidence: float = 0.95,
    training: bool = False,
) -> Ranking | None:  # fmt: skip
    """The order of mean scores, the highest first, or the lowest where `sign` is -1.

    `variants`: scores [S, 1] and influences [S, G, 1]; `widths` [P]: halves of all pairs' simultaneous intervals. Draws
    are normal around the scores seen: units enter by their influences, shared by all variants, seeds (if the verdicts are
    about `training`) by their variance. The spread is stretched until no pair's is narrower than its simultaneous
    interval, so that a variant is first in nearly all draws only where it is better than every other. None where that
    stretch, needed by one pair of few degrees of freedom, would often reverse another pair whose difference is certain.
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
    """The lowest, highest and average rank of each value in its row [R, V], from 1 for the smallest; ties share them."""
    from scipy.stats import rankdata

    low, high = (rankdata(values, method=method, axis=1).astype(np.float64) for method in ("min", "max"))
    return low, high, (low + high) / 2


def tau_b(ranks: Floats, other: Floats) -> NDArray[np.float64]:
    """Kendall's tau-b of each row of `ranks` [R, V] with `other` [V] (Kendall 1945); 1 where both are all ties."""
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
    """What training adds to the variance of a variant's mean beyond its units."""
    count, units = each.influence.shape[:2]
    seed = each.scores[:, -1].var(ddof=1) / count
    both = each.influence[..., -1].var(axis=0, ddof=1).sum() * (units - 1) / units / count
    return float(max(seed - both, 0.0))
