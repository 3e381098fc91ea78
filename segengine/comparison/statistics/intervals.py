"""Intervals for the difference of two variants: variance from units and from seeds, a t with its degrees of freedom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Jackknife:
    """Scores float64 [..., C] of models, and what each of the G units adds to them: influence [..., G, C], sum 0.

    The columns C are the K classes and, last, the mean over the averaged ones.
    """

    scores: Floats
    influence: Floats


@dataclass(frozen=True, eq=False)
class Estimate:
    """A difference of two variants, float64 [..., C] each: its variance by source and its degrees of freedom.

    `units`: from the choice of images (groups); `seeds`: what training adds to that, 0 where the verdict is about models.
    """

    difference: Floats
    units: Floats
    seeds: Floats
    df: Floats

    @property
    def error(self) -> Floats:
        """The standard error."""
        return np.asarray(np.sqrt(self.units + self.seeds))

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """The t interval, both ends [..., C]."""
        from scipy.special import stdtrit

        half = stdtrit(self.df, 0.5 + confidence / 2) * self.error
        return self.difference - half, self.difference + half

    def p(self) -> Floats:
        """Two-sided p of the t test that the difference is 0; 1 where two variants don't differ anywhere."""
        from scipy.special import stdtr

        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.difference) / self.error
        t = np.where((self.error == 0) & (self.difference == 0), 0.0, t)
        return np.asarray(2 * stdtr(self.df, -t))


def jackknife(numerators: Floats, denominators: Floats, averaged: Sequence[int]) -> Jackknife:
    """Scores that are ratios of sums over units, and each unit's influence by leaving it out (Efron & Tibshirani 1993, 11).

    `numerators`, `denominators`: [..., G, K]. With r = sum a / sum b, leaving out unit g changes r by
    (a_g - r b_g) / (sum b - b_g). A class that only one unit has can't be left out: its influence is 0, and the number
    of units that have it says why nothing is to be concluded. A class without any unit is NaN.
    """
    total = denominators.sum(axis=-2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = numerators.sum(axis=-2, keepdims=True) / total
        rest = total - denominators
        influence = np.where(rest > 0, (numerators - ratio * denominators) / rest, 0.0)
    influence = np.where(total > 0, influence, np.nan)
    chosen = list(averaged)
    mean = influence[..., chosen].mean(axis=-1, keepdims=True) if chosen else np.full_like(influence[..., :1], np.nan)
    scores = ratio[..., 0, :]
    means = scores[..., chosen].mean(axis=-1, keepdims=True) if chosen else np.full_like(scores[..., :1], np.nan)
    influence = np.concatenate([influence, mean], axis=-1)
    return Jackknife(np.concatenate([scores, means], axis=-1), influence - influence.mean(axis=-2, keepdims=True))


def unit_variance(influence: Floats) -> tuple[Floats, Floats]:
    """The jackknife variance [..., C] of influences [..., G, C], and its degrees of freedom.

    The variance of a variance grows with the kurtosis, so that few units which decide everything count as few:
    df = 2 G / (kurtosis - 1), which is G for normal values, and at most G - 1 (Box 1954; Satterthwaite 1946).
    """
    count = influence.shape[-2]
    squared = influence * influence
    squares, fourths = squared.sum(axis=-2), (squared * squared).sum(axis=-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        kurtosis = count * fourths / squares**2
        df = 2 * count / (kurtosis - 1)
    df = np.where(np.isfinite(df) & (kurtosis > 1), df, count - 1)
    return squares * (count - 1) / count, np.clip(df, 1, count - 1)


def estimate(first: Jackknife, second: Jackknife) -> Estimate:
    """The difference first - second of means over seeds; both on the same units, seeds drawn independently.

    Scores [..., S, C] and influences [..., S, G, C]; S may differ. If either has one seed the verdict can only be about
    these models: the units are all that varies. Else, as in a mixed model with units crossed with variants and seeds
    nested in variants, the variance of the difference is

        max(units + seeds - interaction, units - min(interaction, units) / 2)

    units: jackknife variance of the difference of seed means; seeds: s_1^2 / S_1 + s_2^2 / S_2 of the scores by seed
    (Welch 1947); interaction: what units times seeds add to both, estimated from the residuals, so that it isn't counted
    twice. Without the bound it would be unbiased; the truth is never below units - interaction. Degrees of freedom by
    Satterthwaite (1946), where each variant's seeds enter by s_v^2 / S_v less an eighth of its interaction, which is
    chance of many units, not of few seeds. With two seeds, whose scores too often lie close by chance, the bound takes
    off a quarter instead of half, and the seeds enter by all of s_v^2 / S_v. These shares were chosen by simulation.
    """
    influence = first.influence.mean(axis=-3) - second.influence.mean(axis=-3)
    difference = first.scores.mean(axis=-2) - second.scores.mean(axis=-2)
    units, df = unit_variance(influence)
    if first.scores.shape[-2] < 2 or second.scores.shape[-2] < 2:
        return Estimate(difference, units, np.zeros_like(units), df)
    parts = [_seed_parts(each) for each in (first, second)]
    interaction = sum(both for _, both, _ in parts)
    least = np.minimum(interaction, units) / (2 if min(few for _, _, few in parts) > 1 else 4)
    added = np.maximum(sum(seed for seed, _, _ in parts) - interaction, -least)
    from_seeds = sum(np.maximum(seed - (both / 8 if few > 1 else 0.0), 0.0) ** 2 / few for seed, both, few in parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        joint = np.maximum(units, units + added) ** 2 / (units**2 / df + from_seeds)
    df = np.where(np.isfinite(joint), np.clip(joint, 1.0, None), df)
    # Where the seeds add less than nothing, the units' part held more of the interaction than there is.
    return Estimate(difference, units + np.minimum(added, 0), np.maximum(added, 0), df)


def _seed_parts(each: Jackknife) -> tuple[Floats, Floats, int]:
    """Variance of a variant's mean from its seeds, the interaction with units that it contains, degrees of freedom."""
    count, units = each.influence.shape[-3:-1]
    seed = each.scores.var(axis=-2, ddof=1) / count
    interaction = each.influence.var(axis=-3, ddof=1).sum(axis=-2) * (units - 1) / units / count
    return seed, interaction, count - 1
