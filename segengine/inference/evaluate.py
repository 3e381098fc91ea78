"""Evaluation of a trained run on its own data, or on other data with the same classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.building.dataset import load_dataset
from segengine.building.measuring import as_rows, measurement, record_of, values_by_label, write_tables
from segengine.data.sources.records import Record
from segengine.engine.distributed import World
from segengine.engine.evaluation import evaluate_and_measure
from segengine.errors import DataError, SpecError
from segengine.events import Doing, Listener, Note
from segengine.inference.load import Trained, check_overrides, load_trained
from segengine.inference.saved import SavedData, saved_data
from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import MetricPolicy, as_row, evaluate_counts
from segengine.metrics.values import MetricValues
from segengine.runs.folder import RunFolder
from segengine.runs.values import MetricRecord


@dataclass(frozen=True)
class Evaluated:
    """Scores of a run on one split, as in metrics.jsonl, and the confusion counts.

    `metrics`: means of additional metrics by label; `values` and `records`: contents of their tables. `postprocessed`:
    whether post-processing was applied.
    """

    split: str
    scores: dict[str, Any]
    counts: ImageCounts
    same_data: bool
    metrics: Mapping[str, Any]
    values: Mapping[str, MetricValues]
    records: Mapping[str, MetricRecord]
    images: Mapping[int, Record] = field(default_factory=dict)
    pair: Callable[[int], tuple[NDArray[np.uint8], NDArray[np.uint8]]] | None = None
    """Decodes an image uint8 [H, W, C] and its truth uint8 [H, W], by index."""
    postprocessed: bool = False


def evaluate_run(
    path: Path,
    split: str | None,
    overrides: Sequence[str],
    device: str,
    listener: Listener,
    *,
    metrics: Sequence[str] = (),
    keep: bool = False,
    postprocess: bool = True,
) -> Evaluated:
    """Evaluate a run's best checkpoint on a split of its spec's data, which `overrides` may replace.

    `metrics`: name, or settings as YAML, of each additional metric; default: those of the spec. `keep`: the values will be
    saved, which needs at least one metric and the run's own data; checked before anything is computed. `postprocess`: apply the run's
    recorded post-processing; saved values, which `compare` reads beside the run's counts, are always without.

    Raises:
        RunError: training isn't finished.
        SpecError: `keep` without a metric.
        DataError: the data has different classes, no image in the split, or isn't the run's own with `keep`.
    """
    trained = load_trained(path, device, postprocess=postprocess and not keep)
    check_overrides(overrides)
    experiment = data_of(trained, [*_chosen(metrics), *windows_of_training(trained), *overrides], listener)
    if keep and not experiment.evaluation.metrics:
        raise SpecError("--save needs a metric; name one with --metric")
    dataset = load_dataset(experiment, trained.run.get("fold"), listener)
    if keep:
        _check_own(path, trained.run["data"]["fingerprint"] == dataset.fingerprint)
    _check_labels(trained, [(label.name, label.raw) for label in dataset.mapper.labels], path)
    chosen = split or next(name for name in ("test", "validation", "train") if dataset.splits.get(name))
    indices = dataset.splits.get(chosen, ())
    if not indices:
        existing = ", ".join(name for name, of in dataset.splits.items() if of)
        raise DataError(f"{path}: the data has no {chosen} images; existing splits: {existing}")
    done, total = 0, len(indices)

    def seen(images: int) -> None:
        nonlocal done
        done += images
        listener(Doing(f"evaluating {chosen} images", done, total))

    labels, world = [label.name for label in trained.mapping.labels], World(trained.predictor.device)
    stated = trained.run["metric_policy"]
    policy = MetricPolicy(tuple(stated["averaged"]), tuple(stated["left_out"]))
    evaluation = experiment.evaluation
    made = measurement(evaluation.metrics, evaluation, labels, policy, dataset.spacings)
    table, measured = evaluate_and_measure(
        trained.predictor, dataset, indices, len(labels), world, measurement=made, seen=seen
    )
    if limited := trained.predictor.limits.active:
        listener(Note(f"evaluation ran out of memory and continued with {limited}"))
    counts = ImageCounts.of(table, len(labels))
    values = values_by_label(measured, made) if made else {}
    records = {metric.label(): record_of(metric, evaluation, dataset.spacings) for metric in evaluation.metrics}
    same = trained.run["data"]["fingerprint"] == dataset.fingerprint
    scores = as_row(evaluate_counts(counts, dataset.groups(chosen)), labels, policy)
    return Evaluated(chosen, scores, counts, same, as_rows(values, records, labels), values, records,
                     {i: dataset.records[i] for i in indices}, dataset.pair, bool(trained.finish))  # fmt: skip


def data_of(trained: Trained, overrides: Sequence[str], listener: Listener) -> SavedData:
    """Data and evaluation sections of the run with `overrides`; notes on changed and missing plugins go to the listener."""
    sections, notes = saved_data(trained.folder, trained.run, overrides)
    for note in dict.fromkeys([*trained.notes, *notes]):
        listener(Note(note))
    return sections


def save_metrics(path: Path, found: Evaluated) -> None:
    """Write the metrics' tables into the run folder, for `compare`.

    Raises:
        DataError: the data isn't the run's own.
        RunError: the run is locked by another process, or its folder isn't writable.
    """
    _check_own(path, found.same_data)
    folder = RunFolder(path)
    with folder.locked():
        write_tables(folder, found.split, found.values, found.records)
        stored = folder.read().get("metrics") or {}
        folder.update(metrics={**stored, found.split: {**stored.get(found.split, {}), **found.metrics}})


def windows_of_training(trained: Trained) -> list[str]:
    """The spec override that applies the windows determined by `auto` in training to other data."""
    if trained.folder.spec()["data"].get("window", "auto") != "auto" or not isinstance(trained.windowing.common, tuple):
        return []
    return [f"data.window={json.dumps(trained.windowing.as_record()['window'])}"]


def _chosen(metrics: Sequence[str]) -> list[str]:
    """The spec override for these metrics."""
    return [f"evaluation.metrics=[{', '.join(metrics)}]"] if metrics else []


def _check_own(path: Path, same: bool) -> None:
    if not same:
        raise DataError(f"{path}: --save needs the run's own data; omit --save, or -s")


def _check_labels(trained: Trained, found: list[tuple[str, Any]], path: Path) -> None:
    expected = [(label.name, label.raw) for label in trained.mapping.labels]
    if found != expected:
        trained_classes, data_classes = (
            ", ".join(f"{name} = {raw}" for name, raw in labels) for labels in (expected, found)
        )
        raise DataError(f"{path}: classes of the run ({trained_classes}) and of the data ({data_classes}) differ")
