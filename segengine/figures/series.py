"""Rows of metrics.jsonl as series over epochs, and the best epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.figures.numbers import finite
from segengine.metrics.names import DEFAULT_METRIC

Row = Mapping[str, Any]
Rows = Sequence[Row]


def look_up(row: Row, path: Sequence[str]) -> float | None:
    """The number at a path of keys in one row; None if a key is missing or the value is not a finite number."""
    value: Any = row
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return None if isinstance(value, Mapping) else finite(value)


def epochs(rows: Rows) -> NDArray[np.float64]:
    """The epochs of the rows, float64 [N], 1-based."""
    return np.array([float(row["epoch"]) for row in rows])


def series(rows: Rows, *path: str) -> NDArray[np.float64]:
    """The number at a path of keys in each row, float64 [N]; NaN where it is missing or undefined."""
    found = [look_up(row, path) for row in rows]
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def best_epoch(rows: Rows, metric: str = DEFAULT_METRIC) -> int | None:
    """The epoch with the highest validation mean of `metric`, the earliest in case of ties; None if there is none."""
    scores = series(rows, "validation", "mean", metric)
    if scores.size == 0 or np.isnan(scores).all():
        return None
    return int(rows[int(np.nanargmax(scores))]["epoch"])
