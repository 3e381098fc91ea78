"""Per-image metrics of a run: construction, aggregation, messages and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segengine.building.guarded import checked_metric
from segengine.components.base import Metric
from segengine.components.lookup import dump
from segengine.data.sources.records import Record
from segengine.engine.evaluation import Measured
from segengine.errors import DataError, counted
from segengine.metrics.pairs import STATES
from segengine.metrics.scores import MetricPolicy
from segengine.metrics.values import Measurement, MetricValues
from segengine.runs.folder import RunFolder
from segengine.runs.values import MetricRecord, write_values
from segengine.specs.sections import EvaluationSection

Spacings = Sequence[tuple[float, float] | None]
"""(row, column) distance of pixels of each image."""


def measurement(
    metrics: Sequence[Metric],
    evaluation: EvaluationSection,
    class_names: Sequence[str],
    policy: MetricPolicy,
    spacings: Spacings = (),
) -> Measurement | None:
    """The measurement of `metrics` over the averaged classes; None without metrics.

    `spacings` are the distances of pixels that the image files declare, used with `evaluation.spacing: auto`.
    """
    if not metrics:
        return None
    return Measurement(
        {metric.label(): checked_metric(metric) for metric in metrics},
        {metric.label(): metric.by_class for metric in metrics},
        any(metric.needs == "probabilities" for metric in metrics),
        len(class_names),
        tuple(k for k, name in enumerate(class_names) if name in policy.averaged),
        _largest(evaluation, spacings) or (1.0, 1.0),
        {index: of for index, of in enumerate(spacings) if of} if evaluation.spacing == "auto" else {},
    )


def check_spacings(evaluation: EvaluationSection, records: Sequence[Record], spacings: Spacings) -> None:
    """Check that `evaluation.spacing: auto` is known for each image.

    Raises:
        DataError: an image file declares no spacing; names it.
    """
    unknown = [record.image for record, spacing in zip(records, spacings, strict=True) if spacing is None]
    if evaluation.spacing == "auto" and unknown:
        raise DataError(
            f"{unknown[0]}: declares no distance of pixels ({counted(len(unknown), 'such image')}); set evaluation.spacing to [height, "
            "width], or remove it for lengths in pixels"
        )


def _largest(evaluation: EvaluationSection, spacings: Spacings) -> tuple[float, float] | None:
    """The spacing of all images; with "auto" the largest, so that diagonals bound all distances."""
    if evaluation.spacing != "auto":
        return evaluation.spacing
    known = [of for of in spacings if of] or [(1.0, 1.0)]
    return max(height for height, _ in known), max(width for _, width in known)


def record_of(metric: Metric, evaluation: EvaluationSection, spacings: Spacings = ()) -> MetricRecord:
    """Description of a metric's values."""
    return MetricRecord(
        label=metric.label(), words=_words(metric), better=metric.better, by_class=metric.by_class,
        unit=evaluation.length_unit if metric.length else None, settings=dump(metric),
        spacing=_largest(evaluation, spacings), spacing_by_image=evaluation.spacing == "auto",
    )  # fmt: skip


def _words(metric: Metric) -> str:
    """Display name of a metric: `NSD (tolerance 2)`."""
    settings = metric.label().removeprefix(metric.name).strip("-").replace("-", " ")
    return f"{metric.words or metric.name}{f' ({settings})' if settings else ''}"


def values_by_label(measured: Mapping[int, Measured], made: Measurement) -> dict[str, MetricValues]:
    """The values of each metric."""
    return {label: MetricValues.gathered(measured, label, made) for label in made.metrics}


def as_rows(
    values: Mapping[str, MetricValues], records: Mapping[str, MetricRecord], class_names: Sequence[str]
) -> dict[str, Any]:
    """The means of each metric with the numbers of images, as in run.json and `evaluate --json`.

    For each class, `images` is the number of images with a value; the other keys count images by where the class occurs.
    """
    rows = {}
    for label, found in values.items():
        means, counts = found.means(), found.counts()
        names = ["image"] if found.classes is None else [class_names[k] for k in found.classes]
        record = records[label]
        rows[label] = {
            "words": record.words, "better": record.better, "unit": record.unit, "by_class": record.by_class, "mean": _plain(found.mean()),
            "images": len(found.indices),
            "classes": {
                name: {
                    "mean": _plain(mean), "images": count["defined"],
                    **{state.replace(" ", "_"): count[state] for state in STATES},
                } for name, mean, count in zip(names, means, counts, strict=True)
            },
        }  # fmt: skip
    return rows


def sentence(row: Mapping[str, Any], split: str) -> str:
    """The means of one metric in one line, with the number of images per class."""
    unit = f" {row['unit']}" if row["unit"] else ""
    each = []
    for name, of in row["classes"].items():
        number = shown(of["mean"])
        each.append(f"{name} {number} ({of['images']} of {counted(row['images'], 'image')}{_one_sided(of)})")
    values = f"{shown(row['mean'])}{unit}; {', '.join(each)}" if row["by_class"] else each[0].removeprefix("image ")
    return f"{row['words']} of {split} images, {row['better']} is better: {values}"


def _one_sided(of: Mapping[str, Any]) -> str:
    said = [f"{of[key]} {words}" for key, words in ONE_SIDED.items() if of[key]]
    return f"; {', '.join(said)}" if said else ""


ONE_SIDED = {"truth_only": "missed", "prediction_only": "only predicted", "neither": "without it"}
"""Words for images in which a class isn't in both truth and prediction."""


def shown(value: float | None) -> str:
    """A mean with three decimals; a dash where no image has a value."""
    return "-" if value is None else f"{value:.3f}"


def write_tables(
    folder: RunFolder, split: str, values: Mapping[str, MetricValues], records: Mapping[str, MetricRecord]
) -> None:
    """Write each metric's values of each image into a run's folder."""
    for label, found in values.items():
        write_values(folder, split, records[label], found)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
