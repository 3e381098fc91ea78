"""How many more units or seeds would show a difference: the usual power formula with both variances."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

POWER = 0.8
_MOST = 1_000_000


@dataclass(frozen=True)
class Sources:
    """Variance of a difference from `count` units and from `seeds` seeds a variant; 0 seeds: it is about models."""

    units: float
    seeds: float
    unit_count: int
    seed_count: int


@dataclass(frozen=True)
class Needed:
    """What would do: more units at these seeds, or more seeds on these units; or only both. None: it can't alone."""

    units: int | None
    seeds: int | None
    both: tuple[int, int] | None


def needed(sources: Sources, target: float, alpha: float) -> Needed:
    """More units or seeds to find a difference of `target` at level `alpha` with a power of 80 %.

    It is found when (t_{1 - alpha/2, df} + t_{0.8, df}) sqrt(V) <= target, where the units' part of V falls with their
    number and the seeds' part with theirs, and df is Satterthwaite's.
    """
    n, k = sources.unit_count, sources.seed_count
    units = _least(lambda more: _found(sources, target, alpha, n + more, k))
    seeds = _least(lambda more: _found(sources, target, alpha, n, k + more)) if k else None
    if units is not None or seeds is not None:
        return Needed(units, seeds, None)
    step = _least(
        lambda more: _found(sources, target, alpha, math.ceil(n * (1 + more / 4)), math.ceil(k + more / 4 * k))
    )
    return Needed(None, None, None if step is None else (math.ceil(n * step / 4), math.ceil(k * step / 4)))


def _found(sources: Sources, target: float, alpha: float, n: int, k: int) -> bool:
    from scipy.special import stdtrit

    units = sources.units * sources.unit_count / n
    seeds = sources.seeds * sources.seed_count / k if k else 0.0
    variance = units + seeds
    if variance <= 0:
        return True
    df = variance**2 / (units**2 / (n - 1) + (seeds**2 / (2 * (k - 1)) if k else 0.0))
    return bool((stdtrit(df, 1 - alpha / 2) + stdtrit(df, POWER)) * math.sqrt(variance) <= target)


def _least(enough: Callable[[int], bool]) -> int | None:
    """The smallest number from 1 that is enough, where more is never worse."""
    high = 1
    while not enough(high):
        high *= 2
        if high > _MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
