"""Confidence intervals of single scores, for tables; verdicts use the intervals of differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segengine.comparison.measures import Kind, Metric
from segengine.comparison.statistics.intervals import Floats, Jackknife, estimate, jackknife
from segengine.comparison.statistics.permutation import MINIMUM_UNITS
from segengine.comparison.statistics.ratios import places, unit_ratios
from segengine.comparison.summary import Comparison

Interval = tuple[float, float]


@dataclass(frozen=True)
class ScoreIntervals:
    """Intervals of one variant's mean and classes (by index); None with too few units.

    Intervals are clipped to 0..1 for fractions and to >= 0 for lengths.
    """

    mean: Interval | None
    classes: tuple[Interval | None, ...]


def score_intervals(comparison: Comparison, metric: Metric, kind: Kind, confidence: float) -> list[ScoreIntervals]:
    """The intervals of each variant. Units are groups or images; the variance between seeds is included, as for differences.

    A class needs as many units as for a test; the mean needs this for its scarcest class, and the same classes for all seeds.
    """
    place = places(comparison.models.groups)
    most = 1.0 if comparison.measure(metric).is_share else np.inf
    averaged = [k for k, facts in enumerate(comparison.classes) if facts.averaged]
    return [
        _of([unit_ratios(model, place, metric, kind) for model in members], averaged, confidence, most)
        for members in comparison.models.by_variant().values()
    ]


def _of(
    sums: Sequence[tuple[Floats, Floats]], averaged: Sequence[int], confidence: float, most: float
) -> ScoreIntervals:
    counts = np.stack([(b > 0).sum(axis=0) for _, b in sums])
    over = [k for k in averaged if counts[:, k].any()]
    models = [jackknife(a, b, over) for a, b in sums]
    variant = Jackknife(np.stack([m.scores for m in models]), np.stack([m.influence for m in models]))
    nothing = Jackknife(np.zeros_like(variant.scores), np.zeros_like(variant.influence))
    units = len(sums[0][1])
    if units < MINIMUM_UNITS:
        return ScoreIntervals(None, (None,) * counts.shape[1])
    low, high = (np.clip(end, 0.0, most) for end in estimate(variant, nothing).interval(confidence))
    enough = counts.min(axis=0) >= MINIMUM_UNITS
    known = np.append(enough, enough[over].all()) & np.isfinite(low) & np.isfinite(high)
    ends: list[Interval | None] = [
        (float(a), float(b)) if ok else None for a, b, ok in zip(low, high, known, strict=True)
    ]
    return ScoreIntervals(ends[-1], tuple(ends[:-1]))
