"""Counts and values of a comparison as the input arrays of statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segengine.comparison.measures import Kind, Measure, Metric
from segengine.comparison.statistics.differences import DEFAULTS, Choices, Differences, judge_sample
from segengine.comparison.statistics.ratios import places, summed, unit_ratios
from segengine.comparison.statistics.sample import Sample, sample_of_values, undefined_rates
from segengine.comparison.summary import Comparison

UNDEFINED = Measure("undefined rate", "lower")
"""The share of images in which truth or prediction alone has a class, so that a distance is undefined."""


def sample_of(comparison: Comparison, metric: Metric, kind: Kind) -> Sample:
    """The sample of one metric of one kind; a class's units are those with the class in the truth, or with defined values."""
    place, measure = places(comparison.models.groups), comparison.measure(metric)
    by_variant = comparison.models.by_variant()
    names, averaged, folds = (
        tuple(facts.name for facts in comparison.classes),
        _averaged(comparison),
        _folds(comparison),
    )
    if metric in comparison.models.models[0].own_values:
        left_out = comparison.undefined_as == "left-out"
        values = [np.stack([model.own_values[metric] for model in members]) for members in by_variant.values()]
        lost = [np.stack([model.undefined[metric] & left_out for model in members]) for members in by_variant.values()]
        return sample_of_values(
            values, lost, place, variants=tuple(by_variant), classes=names, averaged=averaged, kind=kind,
            bounded=measure.is_share, sign=measure.sign, folds=folds,
        )  # fmt: skip
    sums = [[unit_ratios(model, place, metric, kind) for model in members] for members in by_variant.values()]
    numerators, denominators = ([np.stack([pair[part] for pair in each]) for each in sums] for part in (0, 1))
    present = summed(comparison.models.models[0].stacked[:, 1].astype(np.float64), place) > 0
    return Sample(
        tuple(by_variant), names, averaged, tuple(numerators), tuple(denominators), present, kind, measure.is_share,
        measure.sign, folds=folds,
    )  # fmt: skip


def _averaged(comparison: Comparison) -> tuple[int, ...]:
    return tuple(k for k, facts in enumerate(comparison.classes) if facts.averaged)


def rated_classes(comparison: Comparison) -> tuple[int, ...]:
    """The classes whose missing values count in the rates: those of the mean, or where there are none the policy's."""
    policy = tuple(k for k, facts in enumerate(comparison.classes) if facts.name in comparison.undefined)
    return _averaged(comparison) or policy


def _folds(comparison: Comparison) -> bool:
    return any(len(model.runs) > 1 for model in comparison.models.models)


def differences(comparison: Comparison, metric: Metric, kind: Kind, choices: Choices = DEFAULTS) -> Differences:
    """Compare all pairs of variants; results are bit-identical for the same counts and choices."""
    sample = sample_of(comparison, metric, kind)
    return _differences(comparison, sample, metric, comparison.measure(metric), choices)


def undefined_differences(comparison: Comparison, metric: Metric, choices: Choices = DEFAULTS) -> Differences | None:
    """The same of each variant's rate of images in which a distance is undefined; None where there is no such image."""
    if not comparison.undefined_images or not any(count for count, _ in comparison.undefined_images.values()):
        return None
    place, over = places(comparison.models.groups), list(rated_classes(comparison))
    by_variant = comparison.models.by_variant()
    rates = [
        [undefined_rates(np.asarray(model.undefined[metric][:, over].any(axis=1)), place) for model in members]
        for members in by_variant.values()
    ]
    numerators, denominators = (tuple(np.stack([each[part] for each in of]) for of in rates) for part in (0, 1))
    sample = Sample(
        tuple(by_variant), ("undefined",), (0,), numerators, denominators, np.ones((place.max() + 1, 1), dtype=bool),
        "per_image", sign=-1, folds=_folds(comparison),
    )  # fmt: skip
    return _differences(comparison, sample, metric, UNDEFINED, replace(choices, margin=DEFAULTS.margin))


def _differences(
    comparison: Comparison, sample: Sample, metric: Metric, measure: Measure, choices: Choices
) -> Differences:
    judged = judge_sample(sample, choices)
    return Differences(
        metric, sample.kind, choices, grouped=sample.units < comparison.image_count, images=comparison.image_count,
        units=sample.units, exact=judged.exact, undefined=judged.undefined, rows=judged.rows, ranking=judged.ranking,
        measure=measure,
    )  # fmt: skip
