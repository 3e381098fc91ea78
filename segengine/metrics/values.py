"""Metric values of many images, measured one image at a time and stored with the presence of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segengine.metrics.pairs import STATES, Floats, ImageMetric, ImagePair

NEITHER, BOTH = 0, 3
"""Indices in STATES for metrics per image: all pixels are ignored, or some are valid."""


@dataclass(frozen=True)
class Measurement:
    """Metrics to measure, by label. `classes`: measured classes; `by_class`: whether a metric has one value per class.

    `spacing`: height and width of a pixel; `spacings`: those of single images by index, in place of `spacing`.
    """

    metrics: Mapping[str, ImageMetric]
    by_class: Mapping[str, bool]
    probabilities: bool
    num_classes: int
    classes: tuple[int, ...]
    spacing: tuple[float, float]
    spacings: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    def of(self, pair: ImagePair) -> dict[str, list[tuple[float, int]]]:
        """By metric, the value (NaN if undefined) and the index in STATES of each measured class, or of the image."""
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
    """Values of one metric, float64 [N, C], and indices in STATES, uint8 [N, C], of the images `indices`.

    The columns are `classes`, or a single one (None) for a metric per image.
    """

    indices: tuple[int, ...]
    classes: tuple[int, ...] | None
    values: Floats
    states: NDArray[np.uint8]

    @classmethod
    def gathered(
        cls, found: Mapping[int, Mapping[str, Sequence[tuple[float, int]]]], label: str, measurement: Measurement
    ) -> MetricValues:
        """The values of one metric, from the measurements of all images."""
        classes = measurement.classes if measurement.by_class[label] else None
        shape = (len(found), 1 if classes is None else len(classes), 2)
        table = np.array([found[index][label] for index in sorted(found)], dtype=np.float64).reshape(shape)
        return cls(tuple(sorted(found)), classes, table[..., 0], table[..., 1].astype(np.uint8))

    def means(self) -> Floats:
        """The mean over the images that have a value, float64 [C]; NaN if none has."""
        defined = ~np.isnan(self.values)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(defined, self.values, 0).sum(axis=0) / defined.sum(axis=0))

    def mean(self) -> float:
        """The mean over the classes that have a mean."""
        means = self.means()
        known = means[~np.isnan(means)]
        return float(known.mean()) if known.size else float("nan")

    def counts(self) -> list[dict[str, int]]:
        """Per column, the number of images with a value and the number of images in each state."""
        return [
            {"defined": int((~np.isnan(self.values[:, c])).sum())}
            | {state: int((self.states[:, c] == place).sum()) for place, state in enumerate(STATES)}
            for c in range(self.values.shape[1])
        ]
