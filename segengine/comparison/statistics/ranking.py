"""How firm the order of the variants is: a bootstrap over units and, where each variant has several, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segengine.comparison.statistics.intervals import Floats, Jackknife


@dataclass(frozen=True)
class Ranking:
    """Over resamples: how often each variant came first, its mean rank and the ranks that 95 % of them lie in.

    `stability`: the mean of Kendall's tau between the resamples' order and the one seen; 1 is always the same order.
    """

    best: tuple[float, ...]
    mean_rank: tuple[float, ...]
    ranks: tuple[tuple[int, int], ...]
    stability: float


def ranking(variants: Sequence[Jackknife], resamples: int, rng: np.random.Generator, *, sign: int = 1) -> Ranking:
    """The variants' order by their mean score (the last column), the highest first, or the lowest where `sign` is -1.

    Influences [S, G, C], NaN-free there.

    Units are drawn with replacement, the same for all variants, and enter by their influences. Seeds are drawn for each
    variant by itself; their deviations are stretched by sqrt(S / (S - 1)), without which a bootstrap over few seeds is
    too narrow (Davison & Hinkley 1997, 3.8).
    """
    units = variants[0].influence.shape[-2]
    draws = rng.multinomial(units, np.full(units, 1 / units), size=resamples).astype(np.float64)
    seen = np.array([each.scores[:, -1].mean() for each in variants])
    influence = np.stack([each.influence[..., -1].mean(axis=0) for each in variants], axis=1)
    scores = seen + draws @ influence
    if all(len(each.scores) > 1 for each in variants):
        scores += np.stack([_seeds(each.scores[:, -1], resamples, rng) for each in variants], axis=1)
    ranks = 1 + np.argsort(np.argsort(-sign * scores, axis=1, kind="stable"), axis=1, kind="stable")
    low, high = np.quantile(ranks, [0.025, 0.975], axis=0, method="closest_observation")
    return Ranking(
        tuple(float(x) for x in (ranks == 1).mean(axis=0)),
        tuple(float(x) for x in ranks.mean(axis=0)),
        tuple((int(a), int(b)) for a, b in zip(low, high, strict=True)),
        _kendall(scores, seen),
    )


def _seeds(scores: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    count = len(scores)
    deviations = (scores - scores.mean()) * np.sqrt(count / (count - 1))
    return np.asarray(deviations[rng.integers(0, count, (resamples, count))].mean(axis=1))


def _kendall(scores: Floats, seen: Floats) -> float:
    agreements = [
        float((np.sign(scores[:, i, None] - scores[:, i + 1 :]) * np.sign(seen[i] - seen[i + 1 :])).mean(axis=0).sum())
        for i in range(len(seen) - 1)
    ]
    return sum(agreements) / (len(seen) * (len(seen) - 1) / 2)
