"""Evaluation of any model on any labelled images: masks are mapped to the model's classes by name, or by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from segengine.building.measuring import as_rows, measurement, record_of, values_by_label
from segengine.data.batches.cache import Decoder
from segengine.data.masks.mapping import IGNORE, Mapper, Raw
from segengine.data.sources.records import Record
from segengine.engine.distributed import World
from segengine.engine.evaluation import evaluate_and_measure
from segengine.engine.prediction import PassLimits
from segengine.errors import DataError, SpecError, counted
from segengine.events import Doing, Listener, Note
from segengine.inference.ensemble import Ensemble, Wanted, place_of
from segengine.inference.evaluate import Evaluated
from segengine.inference.load import Trained
from segengine.inference.sources import Source
from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import MetricPolicy, as_row, evaluate_counts
from segengine.specs.sections import EvaluationSection

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class LabelledImages:
    """Images with masks: `sizes` int64 [N, 2] height and width, `mapper` from mask values to the data's own classes.

    `notes`: how they were found.
    """

    folder: Path
    records: tuple[Record, ...]
    sizes: NDArray[np.int64]
    mapper: Mapper
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Samples:
    """Decoded pairs in the model's classes."""

    records: tuple[Record, ...]
    sizes: NDArray[np.int64]
    decoder: Decoder
    table: NDArray[np.uint8]

    def pair(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image, classes = self.decoder(index)
        return image, self.table[classes]


@dataclass(frozen=True)
class _EnsemblePredictor:
    """An ensemble as `evaluate_and_measure` calls a predictor."""

    ensemble: Ensemble
    channels: int

    @property
    def device(self) -> torch.device:
        import torch

        return torch.device("cpu")

    @property
    def limits(self) -> PassLimits:
        return self.ensemble.limits

    def classes(self, images: Tensor) -> Tensor:
        """As `Predictor.classes`."""
        import torch

        return torch.stack([torch.from_numpy(self.ensemble.predict(self._source(image)).classes) for image in images])

    def classes_and_probabilities(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """As `Predictor.classes_and_probabilities`, always with probabilities in bands."""
        return self.classes(images), None

    def probability_bands(self, image: Tensor) -> Iterator[Tensor]:
        """As `Predictor.probability_bands`."""
        import torch

        found = self.ensemble.predict(self._source(image), Wanted(probabilities=True)).probabilities
        assert found is not None
        yield torch.from_numpy(found)

    def _source(self, image: Tensor) -> Source:
        picture = image.permute(1, 2, 0).contiguous().numpy()
        return Source([picture], [slice(0, self.channels)] * len(self.ensemble.members), None)


def evaluate_images(
    ensemble: Ensemble,
    data: LabelledImages,
    listener: Listener,
    *,
    split: str | None = None,
    metrics: Sequence[str] = (),
) -> Evaluated:
    """Scores of one or several models, run folders or exported files, on labelled images.

    Args:
        ensemble: the models.
        data: the images.
        listener: receives progress and notes.
        split: only the images of this split; default: the test images if there are any, else all.
        metrics: name, or settings as YAML, of each additional metric.

    Raises:
        DataError: other classes than the model's, no image in the split, or a file that can't be read.
        SpecError: an unknown metric, or models that see images through different windows.
    """
    first = ensemble.first
    if any(member.windowing != first.windowing for member in ensemble.members):
        raise SpecError("the models read images through different windows; evaluate them one by one")
    table, how = class_table(ensemble, data)
    for note in (*data.notes, how):
        listener(Note(note))
    known = records_of(first, data.records)
    split = split or ("test" if any(record.split == "test" for record in known) else None)
    indices = [i for i, record in enumerate(known) if split in (None, record.split)]
    if not indices:
        there = ", ".join(sorted({str(record.split or "not split") for record in data.records}))
        raise DataError(f"{data.folder}: has no {split} images; there are {there}")
    evaluation = _evaluation(first, metrics)
    names = [label.name for label in first.mapping.labels]
    policy = policy_of(first, names)
    made = measurement(evaluation.metrics, evaluation, names, policy)
    samples = _Samples(known, data.sizes, Decoder(known, data.mapper, first.channels, first.windowing), table)
    done, total = 0, len(indices)

    def seen(images: int) -> None:
        nonlocal done
        done += images
        listener(Doing("evaluating images", done, total))

    simple = len(ensemble.members) == 1 and ensemble.views.plain and ensemble.tiling is None
    predictor = (
        first.predictor if isinstance(first, Trained) and simple else _EnsemblePredictor(ensemble, first.channels)
    )
    found, measured = evaluate_and_measure(
        predictor, samples, indices, len(names), World(predictor.device), measurement=made, seen=seen
    )
    counts = ImageCounts.of(found, len(names))
    values = values_by_label(measured, made) if made else {}
    records = {metric.label(): record_of(metric, evaluation) for metric in evaluation.metrics}
    groups = {i: known[i].group for i in indices}
    scores = as_row(evaluate_counts(counts, groups), names, policy)
    images = {i: known[i] for i in indices}
    return Evaluated(split or "all", scores, counts, False, as_rows(values, records, names), values, records,
                     images, samples.pair, ensemble.first.finish is not None)  # fmt: skip


def class_table(ensemble: Ensemble, data: LabelledImages) -> tuple[NDArray[np.uint8], str]:
    """The model's class of each class of the data, uint8 [256], and how they were matched.

    By name if all names of the data are the model's, else by mask value if all values are.

    Raises:
        DataError: classes that match neither by name nor by value; lists both.
    """
    labels, own = data.mapper.labels, ensemble.first.mapping.labels
    by_name = {label.name.strip().casefold(): label.index for label in own}
    by_value: dict[Raw, int] = {label.raw: label.index for label in own}
    table = np.full(256, IGNORE, np.uint8)
    named = [by_name.get(label.name.strip().casefold()) for label in labels]
    valued = [by_value.get(label.raw) for label in labels]
    for matched, how in ((named, "name"), (valued, "value")):
        if None not in matched:
            for label, index in zip(labels, matched, strict=True):
                assert index is not None
                table[label.index] = index
            return table, f"{counted(len(labels), 'class', 'classes')} matched by {how}"
    said = "; ".join(", ".join(f"{label.name} = {label.raw}" for label in each) for each in (own, labels))
    raise DataError(f"{place_of(ensemble.first)}: was trained with different classes than the data has: {said}")


def records_of(member: Any, records: Sequence[Record]) -> tuple[Record, ...]:
    """The records with the groups of the run's `data.split.group`, where the data gives none."""
    pattern = (member.folder.spec()["data"].get("split") or {}).get("group") if isinstance(member, Trained) else None
    if not pattern:
        return tuple(records)
    return tuple(
        replace(record, group=member.group_of(record.image)) if record.group == record.id else record
        for record in records
    )


def policy_of(member: Any, names: Sequence[str]) -> MetricPolicy:
    """The metric policy of a run; of an exported file that doesn't state it, all classes but the background."""
    stated: Mapping[str, Any] | None = (
        member.run["metric_policy"] if isinstance(member, Trained) else member.model.facts.get("metric_policy")
    )
    if stated is not None:
        return MetricPolicy(tuple(stated["averaged"]), tuple(stated["left_out"]))
    left_out = tuple(name for name in names if name.strip().casefold() == "background")
    return MetricPolicy(tuple(name for name in names if name not in left_out), left_out)


def _evaluation(member: Any, metrics: Sequence[str]) -> EvaluationSection:
    """The run's evaluation section with these metrics."""
    settings = dict(member.folder.spec().get("evaluation") or {}) if isinstance(member, Trained) else {}
    settings.pop("metrics", None)
    try:
        parsed = [yaml.safe_load(text) for text in metrics]
        return EvaluationSection.model_validate({**settings, "metrics": parsed})
    except (ValidationError, yaml.YAMLError) as error:
        first = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
        raise SpecError(f"--metric {', '.join(metrics)}: {first}") from error
