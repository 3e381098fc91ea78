"""Metric values of many images, measured one image at a time and stored with the presence of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.metrics.pairs import STATES, Floats, ImageMetric, ImagePair

NEITHER, BOTH = 0, 3
"""Places in STATES; of an image as a whole: all its pixels are ignored, or some are not."""


@dataclass(frozen=True)
class Measurement:
    """Metrics to measure, by label. `classes`: those that are measured; `by_class`: whether a metric has a value for each."""

    metrics: Mapping[str, ImageMetric]
    by_class: Mapping[str, bool]
    probabilities: bool
    num_classes: int
    classes: tuple[int, ...]
    spacing: tuple[float, float]

    def of(self, pair: ImagePair) -> dict[str, list[tuple[float, int]]]:
        """Of each metric the value (NaN where undefined) and the place in STATES: of each class measured, or of the image."""
        states = [STATES.index(pair.state(k)) for k in self.classes]
        found: dict[str, list[tuple[float, int]]] = {}
        for label, metric in self.metrics.items():
            values = metric(pair)
            if self.by_class[label]:
                found[label] = [(float(values[k]), state) for k, state in zip(self.classes, states, strict=True)]
            else:
                found[label] = [(float(values[0]), NEITHER if np.isnan(values[0]) else BOTH)]
        return found


@dataclass(frozen=True, eq=False)
class MetricValues:
    """One metric's values float64 [N, C] and places in STATES uint8 [N, C] of images `indices`.

    The columns are `classes`, or one (None) where the metric is of an image as a whole.
    """

    indices: tuple[int, ...]
    classes: tuple[int, ...] | None
    values: Floats
    states: NDArray[np.uint8]

    @classmethod
    def gathered(
        cls, found: Mapping[int, Mapping[str, Sequence[tuple[float, int]]]], label: str, measurement: Measurement
    ) -> MetricValues:
        """The values of one metric from what was measured of each image."""
        classes = measurement.classes if measurement.by_class[label] else None
        shape = (len(found), 1 if classes is None else len(classes), 2)
        table = np.array([found[index][label] for index in sorted(found)], dtype=np.float64).reshape(shape)
        return cls(tuple(sorted(found)), classes, table[..., 0], table[..., 1].astype(np.uint8))

    def means(self) -> Floats:
        """The mean over the images that have a value, float64 [C]; NaN where none has."""
        defined = ~np.isnan(self.values)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(defined, self.values, 0).sum(axis=0) / defined.sum(axis=0))

    def mean(self) -> float:
        """The mean over the classes that have one."""
        means = self.means()
        known = means[~np.isnan(means)]
        return float(known.mean()) if known.size else float("nan")

    def counts(self) -> list[dict[str, int]]:
        """Of each column the images with a value, and the images in each state."""
        return [
            {"defined": int((~np.isnan(self.values[:, c])).sum())}
            | {state: int((self.states[:, c] == place).sum()) for place, state in enumerate(STATES)}
            for c in range(self.values.shape[1])
        ]
