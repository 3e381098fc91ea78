import io

import numpy as np
from rich.console import Console

from segengine.cli.console import metric_table, score_table
from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import MetricPolicy, as_row, evaluate_counts
from tests.metrics.reference import confusion

NAMES = [f"class {k}" for k in range(150)]


def printed(table):
    out = io.StringIO()
    Console(file=out, width=120, highlight=False).print(table)
    return out.getvalue().splitlines()


def scores():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 150, (300, 300)).astype(np.uint8)
    wrong = rng.random(truth.shape) < truth / 160
    predicted = np.where(wrong, rng.integers(0, 150, truth.shape), truth).astype(np.uint8)
    counts = ImageCounts.of({0: confusion(truth, predicted, 150)}, 150)
    return as_row(evaluate_counts(counts), NAMES, MetricPolicy(tuple(NAMES), ()))


def test_a_table_of_150_classes_shows_the_ten_worst_the_ten_best_and_the_mean():
    lines = printed(score_table(scores()))
    assert len(lines) == 1 + 10 + 1 + 10 + 1
    assert "... 130 classes between (evaluate --all)" in lines[11]
    dice = [float(line.split()[-3]) for line in [*lines[1:11], *lines[12:22]]]
    assert dice == sorted(dice)
    assert lines[-1].startswith("mean of 150 classes")
    assert len(printed(score_table(scores(), all_classes=True))) == 1 + 150 + 1


def test_a_metric_of_150_classes_is_as_short_and_larger_distances_are_worse():
    counts = {"images": 3, "truth_only": 0, "prediction_only": 0, "neither": 1}
    row = {
        "words": "HD95", "unit": "mm", "images": 4, "better": "lower", "mean": 3.0,
        "classes": {name: {"mean": float(k), **counts} for k, name in enumerate(NAMES)},
    }  # fmt: skip
    lines = [line for line in printed(metric_table(row)) if line.startswith(("class 1", "class 0"))]
    assert lines[0].split()[:2] == ["class", "149"]
    assert len(printed(metric_table(row, all_classes=True))) - len(printed(metric_table(row))) == 129
