"""The rows of metrics.jsonl as series over epochs, and the epoch that was best."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.figures.numbers import finite

Row = Mapping[str, Any]
Rows = Sequence[Row]


def look_up(row: Row, path: Sequence[str]) -> float | None:
    """The finite number at a path of keys in one row, or None where a key or the number is missing."""
    value: Any = row
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return None if isinstance(value, Mapping) else finite(value)


def epochs(rows: Rows) -> NDArray[np.float64]:
    """The rows' epochs, float64 [N], counted from 1."""
    return np.array([float(row["epoch"]) for row in rows])


def series(rows: Rows, *path: str) -> NDArray[np.float64]:
    """The number at a path of keys in every row, float64 [N]; NaN where it is missing or undefined."""
    found = [look_up(row, path) for row in rows]
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def best_epoch(rows: Rows, metric: str = "dice") -> int | None:
    """The epoch whose validation mean of `metric` is highest, the earliest of equals; None without any."""
    scores = series(rows, "validation", "mean", metric)
    if scores.size == 0 or np.isnan(scores).all():
        return None
    return int(rows[int(np.nanargmax(scores))]["epoch"])
