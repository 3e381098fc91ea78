"""Metrics, the kinds of mean that are reported of them, and the unit that their differences are given in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segengine.metrics.names import LABELS, OVERLAPS

Metric = str
"""`dice` or `iou`, or the label of a metric whose values of each image were read: `hd95`, `nsd-tolerance-2`."""
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
    """Counts can be pooled, other metrics have a value per image; groups (patients, videos) have scores of their own."""
    kinds: tuple[Kind, ...] = ("pooled", "per_image") if metric in METRICS else ("per_image",)
    return (*kinds, "per_group") if grouped else kinds


@dataclass(frozen=True)
class Measure:
    """`label` is the metric's name in tables; differences are given in `unit`, which is 1 / `factor` of a value.

    `margin`: the default within which two values are practically equal, half a point or a pixel's size.
    """

    label: str = "score"
    better: Literal["higher", "lower"] = "higher"
    unit: str = "points"
    factor: float = 100.0
    margin: float = 0.005

    @property
    def is_share(self) -> bool:
        """Whether values are shares, 0 to 1, with differences in points; else they are lengths in `unit`."""
        return self.unit == "points"

    @property
    def in_unit(self) -> str:
        """` in mm` after a length's name; nothing for shares."""
        return "" if self.is_share else f" in {self.unit}"

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return 1 if self.better == "higher" else -1


SHARE = Measure()
"""A score from 0 to 1, with differences in points (hundredths); higher is better."""
OF_COUNTS = {metric: Measure(LABELS[metric]) for metric in METRICS}
