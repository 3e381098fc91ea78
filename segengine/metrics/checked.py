"""Checks of the values of a plugin's metric, with its name in errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from segengine.errors import RunError, SegengineError
from segengine.metrics.pairs import Floats, ImageMetric, ImagePair


@dataclass(frozen=True)
class CheckedMetric:
    """Calls `metric`. `what` names it, `share`: values are fractions from 0 to 1, `raised` describes an exception."""

    metric: ImageMetric
    what: str
    by_class: bool
    share: bool
    raised: Callable[[BaseException], str]

    def __call__(self, pair: ImagePair, /) -> Floats:
        """The values of one image.

        Raises:
            RunError: the metric raises, or its values have another form or range than declared.
        """
        try:
            values = self.metric(pair)
        except SegengineError:
            raise
        except Exception as error:
            raise RunError(f"{self.what}: raises {self.raised(error)}") from error
        problem = value_problem(values, pair.num_classes if self.by_class else 1, share=self.share)
        if problem:
            raise RunError(f"{self.what}: {problem}")
        return values


def value_problem(values: object, number: int, *, share: bool) -> str:
    """Problem of a metric's values, '' if there is none: float64 [number], NaN or finite, and 0..1 if `share`."""
    if not isinstance(values, np.ndarray) or values.shape != (number,) or values.dtype != np.float64:
        given = f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else type(values).__name__
        return f"returns {given}; return float64 {[number]}, or set by_class: one value per class, or one per image"
    if np.isinf(values).any():
        return "returns an infinite value; return NaN where the metric is undefined"
    if share and (values[~np.isnan(values)] < 0).any():
        return f"returns {np.nanmin(values):.6g}; values are fractions from 0 to 1, or lengths with `length = True`"
    if share and (values[~np.isnan(values)] > 1).any():
        return f"returns {np.nanmax(values):.6g}; values are fractions from 0 to 1, or lengths with `length = True`"
    return ""
