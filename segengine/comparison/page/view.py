"""All that a comparison's page and files are made of, gathered once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.measures import Measure
from segengine.comparison.page.curves import Course, courses
from segengine.comparison.render import found_of
from segengine.comparison.statistics.differences import Choices, Differences
from segengine.comparison.statistics.score_intervals import ScoreIntervals, score_intervals
from segengine.comparison.statistics.verdict import word
from segengine.comparison.summary import METRICS, Comparison, Kind, Metric, ScoreTable, kinds_of
from segengine.comparison.units import Unit
from segengine.runs import names
from segengine.runs.record import RunRecord
from segengine.runs.tables import read_count_rows


@dataclass(frozen=True, eq=False)
class View:
    """A comparison, judged. `intervals[kind]` and `courses` have an entry for each variant, in the comparison's order.

    `confusions` are int64 [V, K, K] (rows truth, columns predicted), summed over images and seeds; None where the metric isn't
    from counts. `ranked` are the
    variants' places by mean score, the best first, those without one last.
    """

    comparison: Comparison
    metric: Metric
    choices: Choices
    found: tuple[Differences, ...]
    intervals: Mapping[Kind, Sequence[ScoreIntervals]]
    courses: tuple[Course, ...]
    confusions: NDArray[np.int64] | None
    ranked: tuple[int, ...]

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
        """What the metric is called: `Dice`, `HD95`."""
        return word(self.metric, self.measure)

    @property
    def kind(self) -> Kind:
        """What verdicts and figures show: pooled from counts, else per image."""
        return kinds_of(self.metric)[0]

    @property
    def from_counts(self) -> bool:
        return self.metric in METRICS

    @property
    def curve_metric(self) -> Metric:
        """What is measured while training: a metric from counts."""
        return self.metric if self.from_counts else "dice"

    @property
    def tables(self) -> list[ScoreTable]:
        """Each variant's scores of `kind`."""
        return [variant.scores[self.metric, self.kind] for variant in self.comparison.variants]

    @property
    def record(self) -> RunRecord:
        """Of the first run: what all share."""
        return self.comparison.units.units[0].runs[0].record

    @property
    def units_word(self) -> str:
        """What is resampled: `group` or `image`."""
        return "group" if self.comparison.group_count < self.comparison.image_count else "image"


def view_of(comparison: Comparison, metric: Metric, choices: Choices) -> View:
    """Judge a comparison and read what figures need besides.

    Raises:
        RunError: a file of a run is damaged.
    """
    by_variant = comparison.units.by_variant()
    kinds, sign = kinds_of(metric), comparison.measure(metric).sign
    means = [variant.scores[metric, kinds[0]].mean.mean for variant in comparison.variants]
    ranked = sorted(range(len(means)), key=lambda i: np.inf if (mean := means[i]) is None else -sign * mean)
    return View(
        comparison, metric, choices, tuple(found_of(comparison, metric, choices)),
        {kind: score_intervals(comparison, metric, kind, choices.confidence) for kind in kinds},
        tuple(courses(members, metric if metric in METRICS else "dice") for members in by_variant.values()),
        np.stack([_confusion(members, comparison.split) for members in by_variant.values()]) if metric in METRICS else None,
        tuple(ranked),
    )  # fmt: skip


def _confusion(members: Sequence[Unit], split: str) -> NDArray[np.int64]:
    runs = [run for unit in members for run in unit.runs]
    size = len(runs[0].record.labels)
    table = np.zeros(size * size, dtype=np.int64)
    for run in runs:
        rows = read_count_rows(run.folder / names.counts_file(split), size)
        np.add.at(table, rows[:, 1] * size + rows[:, 2], rows[:, 3])
    return table.reshape(size, size)
