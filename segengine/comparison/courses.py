"""Learning curves: the mean over a variant's runs, and their range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segengine.comparison.measures import Metric
from segengine.comparison.models import Model
from segengine.figures.series import look_up
from segengine.runs import names
from segengine.runs.tables import read_metrics


@dataclass(frozen=True)
class Course:
    """Training of one variant: validation score and training loss of its runs by epoch."""

    score: dict[int, tuple[float, ...]]
    loss: dict[int, tuple[float, ...]]
    runs: int


def courses(members: Sequence[Model], metric: Metric) -> Course:
    """Read metrics.jsonl of all runs of a variant; missing and undefined values are omitted."""
    score: dict[int, list[float]] = {}
    loss: dict[int, list[float]] = {}
    runs = [run for model in members for run in model.runs]
    for run in runs:
        for row in read_metrics(run.folder / names.METRICS):
            epoch = int(row["epoch"])
            for path, into in ((("validation", "mean", metric), score), (("train_loss",), loss)):
                value = look_up(row, path)
                if value is not None:
                    into.setdefault(epoch, []).append(value)
    frozen = [{epoch: tuple(of[epoch]) for epoch in sorted(of)} for of in (score, loss)]
    return Course(frozen[0], frozen[1], len(runs))
