"""Metrics, their kinds of mean, and the units of their differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segengine.metrics.names import LABELS, OVERLAPS

Metric = str
"""`dice` or `iou`, or the label of a metric with values per image: `hd95`, `nsd-tolerance-2`."""
METRICS: tuple[Metric, ...] = OVERLAPS
"""Metrics from counts."""
Kind = Literal["pooled", "per_image", "per_group"]
KIND_NAMES: dict[Kind, str] = {"pooled": "pooled", "per_image": "per image", "per_group": "per group"}
HOW: dict[Kind, str] = {
    "pooled": "pooled over images",
    "per_image": "mean over images",
    "per_group": "mean over groups",
}


def kinds_of(metric: Metric, *, grouped: bool) -> tuple[Kind, ...]:
    """Kinds of mean: pooled (metrics from counts only), per image, and per group (patients, videos)."""
    kinds: tuple[Kind, ...] = ("pooled", "per_image") if metric in METRICS else ("per_image",)
    return (*kinds, "per_group") if grouped else kinds


@dataclass(frozen=True)
class Measure:
    """`label` is the metric's name in tables; differences are stated in `unit`, a value times `factor`.

    `margin`: the default within which two values are practically equal, half a point or a pixel's size.
    """

    label: str = "score"
    better: Literal["higher", "lower"] = "higher"
    unit: str = "points"
    factor: float = 100.0
    margin: float = 0.005

    @property
    def is_share(self) -> bool:
        """Whether values are fractions, 0 to 1, with differences in points; else they are lengths in `unit`."""
        return self.unit == "points"

    @property
    def in_unit(self) -> str:
        """` in mm` for lengths; '' for fractions."""
        return "" if self.is_share else f" in {self.unit}"

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1."""
        return 1 if self.better == "higher" else -1


SHARE = Measure()
"""A score from 0 to 1, with differences in points (hundredths); higher is better."""
OF_COUNTS = {metric: Measure(LABELS[metric]) for metric in METRICS}
