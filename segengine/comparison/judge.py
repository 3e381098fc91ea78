"""Judges a comparison: differences, intervals, costs, ranks and sentences, computed once for all outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.costs import Cost, costs_of
from segengine.comparison.courses import Course, courses
from segengine.comparison.measures import METRICS, Kind, Measure, Metric
from segengine.comparison.models import Model
from segengine.comparison.pairs import sentence, why_undefined
from segengine.comparison.samples import differences, undefined_differences
from segengine.comparison.sentences import Sentences, sentences
from segengine.comparison.statistics.differences import Choices, Differences, PairDifference
from segengine.comparison.statistics.score_intervals import ScoreIntervals, score_intervals
from segengine.comparison.summary import Comparison, ScoreTable
from segengine.metrics.names import DEFAULT_METRIC
from segengine.runs import names
from segengine.runs.record import RunRecord
from segengine.runs.tables import read_count_rows

MOST_PAIRS = 60
"""Maximum number of pairs shown in full; beyond it, only pairs with the best variant are shown."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Input of all outputs. `intervals[kind]` has an entry per variant, in the comparison's order.

    `found` has the differences of every kind of mean, the headline's first; it is empty for a single variant. `ranked`:
    variant indices by mean score of the headline's kind, the best first, last those without a value in most of their
    predictions or without a mean. `rates`: of a metric that is undefined in some images, the differences of how often.
    """

    comparison: Comparison
    metric: Metric
    choices: Choices
    found: tuple[Differences, ...]
    intervals: Mapping[Kind, Sequence[ScoreIntervals]]
    costs: tuple[Cost, ...]
    ranked: tuple[int, ...]
    rates: Differences | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(variant.name for variant in self.comparison.variants)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(facts.name for facts in self.comparison.classes)

    @property
    def measure(self) -> Measure:
        return self.comparison.measure(self.metric)

    @property
    def word(self) -> str:
        """Display name of the metric: `Dice`, `HD95`."""
        return self.measure.label

    @property
    def kind(self) -> Kind:
        """The kind of mean used by verdicts, ranks, fronts and figures."""
        return self.comparison.headline(self.metric)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """All kinds of mean, the headline's first."""
        return (self.kind, *(kind for kind in self.comparison.kinds(self.metric) if kind != self.kind))

    @property
    def from_counts(self) -> bool:
        return self.metric in METRICS

    @property
    def curve_metric(self) -> Metric:
        """The metric during training, computed from counts."""
        return self.metric if self.from_counts else DEFAULT_METRIC

    @property
    def tables(self) -> list[ScoreTable]:
        """Each variant's scores of the headline's kind."""
        return [variant.scores[self.metric, self.kind] for variant in self.comparison.variants]

    @property
    def record(self) -> RunRecord:
        """The record of the first run; common to all runs."""
        return self.comparison.models.models[0].runs[0].record

    @property
    def case(self) -> str:
        """The sampling unit: `group` or `image`."""
        return "group" if self.comparison.grouped else "image"

    def sentence(self, found: Differences, row: PairDifference) -> str:
        """The verdict about a pair."""
        return sentence(found, row, why_undefined(self, found, row) if row.difference is None else "")

    @cached_property
    def said(self) -> Sentences:
        """Every sentence about the comparison."""
        return sentences(self)

    @cached_property
    def courses(self) -> tuple[Course, ...]:
        """Each variant's training; reads metrics.jsonl.

        Raises:
            RunError: a file of a run is damaged.
        """
        by_variant = self.comparison.models.by_variant()
        return tuple(courses(members, self.curve_metric) for members in by_variant.values())

    @cached_property
    def confusions(self) -> NDArray[np.int64] | None:
        """int64 [V, K, K] (rows truth, columns predicted), summed over images and seeds; None if the metric is not computed from counts.

        Raises:
            RunError: a file of a run is damaged.
        """
        if not self.from_counts:
            return None
        by_variant = self.comparison.models.by_variant()
        return np.stack([_confusion(members, self.comparison.split) for members in by_variant.values()])

    def pairs(self, found: Differences) -> list[PairDifference]:
        """Displayed differences of means, the better variant first: all pairs if few, else those with the best variant."""
        best = self.names[self.ranked[0]]
        rows = found.means
        if len(rows) > MOST_PAIRS:
            rows = tuple(row for row in rows if best in (row.first, row.second))
        return self._in_order(found, rows)

    def class_pairs(self, found: Differences) -> list[PairDifference]:
        """Displayed differences by class: all pairs if few, else the best two variants."""
        rows = [row for row in found.rows if row.score is not None]
        if len(rows) > MOST_PAIRS // 2 and len(self.ranked) > 1:
            two = {self.names[i] for i in self.ranked[:2]}
            rows = [row for row in rows if {row.first, row.second} == two]
        return self._in_order(found, rows)

    def _in_order(self, found: Differences, rows: Sequence[PairDifference]) -> list[PairDifference]:
        """Sort by rank of both variants; the variant with the better mean is first, also in its classes."""
        rank = {self.names[i]: place for place, i in enumerate(self.ranked)}
        turned = []
        for row in rows:
            better = min(row.first, row.second, key=rank.__getitem__)
            if row.score is None and row.difference:
                better = row.first if found.measure.sign * row.difference > 0 else row.second
            turned.append(row.seen_from(better))
        return sorted(turned, key=lambda row: tuple(sorted((rank[row.first], rank[row.second]))))


def judge(comparison: Comparison, metric: Metric, choices: Choices | None = None) -> Judged:
    """Compute the contents of all outputs of one comparison, without reading files; by default with the metric's margin."""
    choices = choices or Choices(margin=comparison.measure(metric).margin)
    kinds = comparison.kinds(metric)
    headline, sign = comparison.headline(metric), comparison.measure(metric).sign
    ordered = (headline, *(kind for kind in kinds if kind != headline))
    several = len(comparison.variants) > 1
    means = [variant.scores[metric, headline].mean.mean for variant in comparison.variants]
    mostly = [_mostly_undefined(comparison, variant.name) for variant in comparison.variants]
    ranked = sorted(
        range(len(means)), key=lambda i: (True, np.inf) if (mean := means[i]) is None else (mostly[i], -sign * mean)
    )
    return Judged(
        comparison,
        metric,
        choices,
        tuple(differences(comparison, metric, kind, choices) for kind in ordered) if several else (),
        {kind: score_intervals(comparison, metric, kind, choices.confidence) for kind in ordered},
        costs_of(comparison, metric),
        tuple(ranked),
        undefined_differences(comparison, metric, choices) if several else None,
    )


def _mostly_undefined(comparison: Comparison, variant: str) -> bool:
    """Whether a variant's mean is of less than half of its predictions, so that nothing follows from it."""
    lacking, predictions = comparison.undefined_images.get(variant, (0, 1))
    return comparison.undefined_as == "left-out" and 2 * lacking > predictions


def _confusion(members: Sequence[Model], split: str) -> NDArray[np.int64]:
    runs = [run for model in members for run in model.runs]
    size = len(runs[0].record.labels)
    table = np.zeros(size * size, dtype=np.int64)
    for run in runs:
        rows = read_count_rows(run.folder / names.counts_file(split), size)
        np.add.at(table, rows[:, 1] * size + rows[:, 2], rows[:, 3])
    return table.reshape(size, size)
