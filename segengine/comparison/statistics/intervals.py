"""Intervals for the difference of two variants: variance from units and from seeds, a t with its degrees of freedom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

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

    @cached_property
    def mean(self) -> tuple[Floats, Floats]:
        """Scores [..., C] and influences [..., G, C], means over the seeds S of scores [..., S, C] and influences [..., S, G, C]."""
        return np.asarray(self.scores.mean(axis=-2)), np.asarray(self.influence.mean(axis=-3))

    @cached_property
    def seed_parts(self) -> tuple[Floats, Floats]:
        """Variance [..., C] of the mean over seeds from its seeds, and the interaction with units that it contains."""
        count, units = self.influence.shape[-3:-1]
        seed = self.scores.var(axis=-2, ddof=1) / count
        interaction = self.influence.var(axis=-3, ddof=1).sum(axis=-2) * (units - 1) / units / count
        return np.asarray(seed), np.asarray(interaction)


MINIMUM_SEEDS = 3
"""The fewest seeds of each variant from which a verdict about training follows: with two no interval held what it promised."""

MINIMUM_UNITS_OF_TRAINING = 10
"""The fewest units that have a class from which a verdict about training follows: with 6 to 9 no interval held either."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A difference of two variants, float64 [..., C] each: its variance by source and its degrees of freedom.

    `units`: from the choice of images (groups); `seeds`: what training adds to that, 0 where the verdict is about models.
    `influence` [..., G, C] of each unit on the difference, sum 0; G is 0 where it isn't kept. `parts` are the variances
    these are made of; None where a variant has one seed.
    """

    difference: Floats
    units: Floats
    seeds: Floats
    df: Floats
    influence: Floats
    parts: Parts | None = None

    @property
    def pseudo(self) -> Floats:
        """Jackknife pseudo-values [..., G, C] (Tukey 1958), whose mean is the difference."""
        count = self.influence.shape[-2]
        return np.asarray(self.difference[..., None, :] + (count - 1) * self.influence)

    @classmethod
    def stacked(cls, estimates: Sequence[Estimate]) -> Estimate:
        """Several estimates [C] as one [P, C], without influences and parts."""
        difference, units, seeds, df = (
            np.stack([getattr(each, name) for each in estimates]) for name in ("difference", "units", "seeds", "df")
        )
        return cls(difference, units, seeds, df, np.zeros((len(estimates), 0, difference.shape[-1])))

    def without_influence(self) -> Estimate:
        """The same in little memory."""
        return replace(self, influence=self.influence[..., :0, :].copy())  # a view would keep it all

    def where(self, training: NDArray[np.bool_]) -> Estimate:
        """The estimate about these models in all columns [C] but those of `training`."""
        if self.parts is None:
            return self
        return replace(
            self, units=np.where(training, self.units, self.parts.units), seeds=np.where(training, self.seeds, 0.0),
            df=np.where(training, self.df, self.parts.units_df),
        )  # fmt: skip

    @property
    def error(self) -> Floats:
        """The standard error."""
        return np.asarray(np.sqrt(self.units + self.seeds))

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """The t interval, both ends [..., C]."""
        half = self.half_width(1 - confidence)
        return self.difference - half, self.difference + half

    def half_width(self, level: float) -> Floats:
        """Half the width of the t interval with confidence 1 - `level`."""
        from scipy.special import stdtrit

        return np.asarray(stdtrit(self.df, 1 - level / 2) * self.error)

    def p(self) -> Floats:
        """Two-sided p of the t test that the difference is 0; 1 where two variants don't differ anywhere."""
        return 2 * self.tail(np.abs(self.difference))

    def tail(self, distance: Floats) -> Floats:
        """One-sided p of a distance from the hypothesis, by t."""
        from scipy.special import stdtr

        with np.errstate(divide="ignore", invalid="ignore"):
            t = distance / self.error
        return np.asarray(stdtr(self.df, -np.where((self.error == 0) & (distance == 0), 0.0, t)))


@dataclass(frozen=True, eq=False)
class Parts:
    """Variances float64 [..., C] of a difference of seed means, as estimated.

    `units` by the jackknife and `seeds` from the scores by seed both contain `interaction`, what units and seeds add only
    together (one training is good at these images, another at those). `seeds` and `interaction` have one entry for each
    set of `counts` seeds drawn independently: two variants, or one where seeds are paired. `units_df`: degrees of freedom.
    """

    units: Floats
    units_df: Floats
    seeds: tuple[Floats, ...]
    interaction: tuple[Floats, ...]
    counts: tuple[int | Floats, ...]
    unit_count: int


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
    mean = (
        influence[..., chosen].mean(axis=-1, keepdims=True) if chosen else np.full((*influence.shape[:-1], 1), np.nan)
    )
    scores = ratio[..., 0, :]
    means = scores[..., chosen].mean(axis=-1, keepdims=True) if chosen else np.full((*scores.shape[:-1], 1), np.nan)
    influence = np.concatenate([influence, mean], axis=-1)
    return Jackknife(np.concatenate([scores, means], axis=-1), influence - influence.mean(axis=-2, keepdims=True))


def unit_variance(influence: Floats) -> tuple[Floats, Floats]:
    """The jackknife variance [..., C] of influences [..., G, C], and its degrees of freedom.

    The variance of a variance grows with the kurtosis, so that few units which decide everything count as few:
    df = 2 G / (kurtosis - 1), which is G for normal values, and at most G - 1 (Box 1954; Satterthwaite 1946).
    """
    count = influence.shape[-2]
    squared = influence * influence
    squares, fourths = squared.sum(axis=-2), np.einsum("...gc,...gc->...c", squared, squared)
    with np.errstate(divide="ignore", invalid="ignore"):
        kurtosis = count * fourths / squares**2
        df = 2 * count / (kurtosis - 1)
    df = np.where(np.isfinite(df) & (kurtosis > 1), df, count - 1)
    return squares * (count - 1) / count, np.clip(df, 1, count - 1)


def estimate(first: Jackknife, second: Jackknife, *, paired: bool = False) -> Estimate:
    """The difference first - second of means over seeds; both on the same units.

    Scores [..., S, C] and influences [..., S, G, C]; S may differ. Seeds are drawn independently for each variant unless
    `paired`: then seed s of both shares initial weights and order, and S is equal. If either has fewer than
    `MINIMUM_SEEDS` the verdict can only be about these models: the units are all that varies. Else, as in a mixed model
    with units crossed with variants and seeds nested in variants, the variance of the difference is

        max(units + seeds - interaction, units - min(interaction, units) / 2)

    units: jackknife variance of the difference of seed means; seeds: s_1^2 / S_1 + s_2^2 / S_2 of the scores by seed
    (Welch 1947); interaction: what units times seeds add to both, estimated from the residuals, so that it isn't counted
    twice. Without the bound it would be unbiased; the truth is never below units - interaction. Degrees of freedom by
    Satterthwaite (1946), where each variant's seeds enter by s_v^2 / S_v less an eighth of its interaction, which is
    chance of many units, not of few seeds. These shares were chosen by simulation.
    """
    counts = (first.scores.shape[-2], second.scores.shape[-2])
    (one_score, one_influence), (other_score, other_influence) = first.mean, second.mean
    influence, difference = one_influence - other_influence, one_score - other_score
    units, df = unit_variance(influence)
    if min(counts) < 2:
        return Estimate(difference, units, np.zeros_like(units), df, influence)
    one = [Jackknife(first.scores - second.scores, first.influence - second.influence)] if paired else []
    sets = one or [first, second]
    seeds, interaction = zip(*(each.seed_parts for each in sets), strict=True)
    parts = Parts(units, df, tuple(seeds), tuple(interaction), counts[: len(sets)], influence.shape[-2])
    if min(counts) < MINIMUM_SEEDS:
        return Estimate(difference, units, np.zeros_like(units), df, influence, parts)
    variance, joint = combined(parts)
    # Where the seeds add less than nothing, the units' part held more of the interaction than there is.
    return Estimate(difference, np.minimum(units, variance), np.maximum(variance - units, 0), joint, influence, parts)


def combined(parts: Parts) -> tuple[Floats, Floats]:
    """Variance of the difference from all its parts, and its degrees of freedom: see `estimate`."""
    units, interaction = parts.units, sum(parts.interaction)
    added = np.maximum(sum(parts.seeds) - interaction, -np.minimum(interaction, units) / 2)
    from_seeds = sum(
        np.maximum(seed - both / 8, 0.0) ** 2 / (count - 1)
        for seed, both, count in zip(parts.seeds, parts.interaction, parts.counts, strict=True)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        joint = np.maximum(units, units + added) ** 2 / (units**2 / parts.units_df + from_seeds)
    df = np.where(np.isfinite(joint), np.clip(joint, 1.0, None), parts.units_df)
    return np.asarray(units + added), np.asarray(df)
