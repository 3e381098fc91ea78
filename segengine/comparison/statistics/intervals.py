"""Intervals of the difference of two variants: variance from units and from seeds, and t with its degrees of freedom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Jackknife:
    """Scores float64 [..., C] of models, and the influence of each of G units on them, [..., G, C], with sum 0.

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
        """Variance [..., C] of the mean over seeds due to seeds, and the interaction with units that it contains."""
        count, units = self.influence.shape[-3:-1]
        seed = self.scores.var(axis=-2, ddof=1) / count
        interaction = self.influence.var(axis=-3, ddof=1).sum(axis=-2) * (units - 1) / units / count
        return np.asarray(seed), np.asarray(interaction)


MINIMUM_SEEDS = 3
"""Minimum number of seeds per variant for a verdict about training; with two, no interval had its nominal coverage."""

MINIMUM_UNITS_OF_TRAINING = 10
"""Minimum number of units with a class for a verdict about training; with 6 to 9, no interval had its nominal coverage."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Difference of two variants, float64 [..., C], with its variance by source and its degrees of freedom.

    `units`: variance from the sample of images (groups); `seeds`: additional variance from training, 0 for verdicts about models.
    `influence` [..., G, C] of each unit on the difference, with sum 0; G is 0 if it is not stored. `parts`: components of the
    variances; None if a variant has one seed.
    """

    difference: Floats
    units: Floats
    seeds: Floats
    df: Floats
    influence: Floats
    parts: Parts | None = None

    @property
    def pseudo(self) -> Floats:
        """Jackknife pseudo-values [..., G, C] (Tukey 1958); their mean is the difference."""
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
        """A copy without large arrays."""
        return replace(self, influence=self.influence[..., :0, :].copy())  # a view would keep it all

    def where(self, training: NDArray[np.bool_]) -> Estimate:
        """The estimate with a verdict about models in all columns [C] except those in `training`."""
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
        """Both ends [..., C] of the t interval."""
        half = self.half_width(1 - confidence)
        return self.difference - half, self.difference + half

    def half_width(self, level: float) -> Floats:
        """Half-width of the t interval with confidence 1 - `level`."""
        from scipy.special import stdtrit

        return np.asarray(stdtrit(self.df, 1 - level / 2) * self.error)

    def p(self) -> Floats:
        """Two-sided p of the t test for difference 0; 1 if the two variants are identical."""
        return 2 * self.tail(np.abs(self.difference))

    def tail(self, distance: Floats) -> Floats:
        """One-sided p of a distance from the hypothesis, by the t distribution."""
        from scipy.special import stdtr

        with np.errstate(divide="ignore", invalid="ignore"):
            t = distance / self.error
        return np.asarray(stdtr(self.df, -np.where((self.error == 0) & (distance == 0), 0.0, t)))


@dataclass(frozen=True, eq=False)
class Parts:
    """Estimated variances float64 [..., C] of a difference of seed means.

    `units`, by the jackknife, and `seeds`, from the scores per seed, both contain `interaction`, the variance due to units and
    seeds jointly (trainings that differ in their scores on single images). `seeds` and `interaction` have one entry per
    set of `counts` independent seeds: two variants, or one set if seeds are paired. `units_df`: degrees of freedom of `units`.
    """

    units: Floats
    units_df: Floats
    seeds: tuple[Floats, ...]
    interaction: tuple[Floats, ...]
    counts: tuple[int | Floats, ...]
    unit_count: int


def jackknife(numerators: Floats, denominators: Floats, averaged: Sequence[int]) -> Jackknife:
    """Scores as ratios of sums over units, and the jackknife influence of each unit (Efron & Tibshirani 1993, chapter 11).

    `numerators`, `denominators`: [..., G, K]. With r = sum a / sum b, omitting unit g changes r by
    (a_g - r b_g) / (sum b - b_g). For a class in a single unit the influence is 0; such classes are not tested. A class
    without units is NaN.
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

    The variance of a variance increases with the kurtosis, so that a few dominating units reduce the degrees of freedom:
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
    """The difference first - second of means over seeds, on the same units.

    Scores [..., S, C] and influences [..., S, G, C]; S may differ. Seeds are independent between variants unless `paired`:
    then seed s of both shares initial weights and order, and S is equal. If either has fewer than `MINIMUM_SEEDS`, the
    verdict is about these models, and only units vary. Otherwise, as in a mixed model with units crossed with variants and
    seeds nested in variants, the variance of the difference is

        max(units + seeds - interaction, units - min(interaction, units) / 2)

    units: jackknife variance of the difference of seed means; seeds: s_1^2 / S_1 + s_2^2 / S_2 of the scores per seed
    (Welch 1947); interaction: the part of both due to units x seeds, estimated from the residuals, subtracted so that it is
    counted once. Without the lower bound the estimate is unbiased; the true variance is at least units - interaction. Degrees
    of freedom by Satterthwaite (1946), with s_v^2 / S_v minus an eighth of the interaction for each variant's seeds, because
    the interaction depends on many units rather than on few seeds. These fractions were chosen by simulation.
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
    # A negative contribution of seeds means that the units' part contains more than the estimated interaction.
    return Estimate(difference, np.minimum(units, variance), np.maximum(variance - units, 0), joint, influence, parts)


def combined(parts: Parts) -> tuple[Floats, Floats]:
    """Variance of the difference from its components, and its degrees of freedom (see `estimate`)."""
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
