"""A comparison's counts and values as the arrays that statistics start from."""

from __future__ import annotations

import numpy as np

from segengine.comparison.measures import Kind, Metric
from segengine.comparison.statistics.differences import DEFAULTS, Choices, Differences, judge_sample
from segengine.comparison.statistics.ratios import places, summed, unit_ratios
from segengine.comparison.statistics.sample import Sample
from segengine.comparison.summary import Comparison


def sample_of(comparison: Comparison, metric: Metric, kind: Kind) -> Sample:
    """One metric of one kind; classes in the truth decide how many units a class has, defined values where there are any."""
    by_variant, place = comparison.models.by_variant(), places(comparison.models.groups)
    sums = [[unit_ratios(model, place, metric, kind) for model in members] for members in by_variant.values()]
    numerators, denominators = ([np.stack([pair[part] for pair in each]) for each in sums] for part in (0, 1))
    first = comparison.models.models[0]
    if metric in first.image_values:
        held = np.array([(each > 0).all(axis=0) for each in denominators])
        # A variant without any value of a class takes no unit from the others: its own scores are undefined.
        present = np.asarray((held | ~held.any(axis=1, keepdims=True)).all(axis=0) & held.any(axis=0))
    else:
        present = summed(first.stacked[:, 1].astype(np.float64), place) > 0
    measure = comparison.measure(metric)
    return Sample(
        tuple(by_variant), tuple(facts.name for facts in comparison.classes),
        tuple(k for k, facts in enumerate(comparison.classes) if facts.averaged),
        tuple(numerators), tuple(denominators), present, kind, measure.is_share, measure.sign,
        folds=any(len(model.runs) > 1 for model in comparison.models.models),
    )  # fmt: skip


def differences(comparison: Comparison, metric: Metric, kind: Kind, choices: Choices = DEFAULTS) -> Differences:
    """Compare all pairs of variants. The same counts and choices give the same result to the last digit."""
    sample = sample_of(comparison, metric, kind)
    judged = judge_sample(sample, choices)
    return Differences(
        metric, kind, choices, grouped=sample.units < comparison.image_count, images=comparison.image_count,
        units=sample.units, exact=judged.exact, undefined=judged.undefined, rows=judged.rows, ranking=judged.ranking,
        measure=comparison.measure(metric),
    )  # fmt: skip
