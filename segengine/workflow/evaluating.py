"""Scoring a trained run anew: on its own data, or on other data with the same classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segengine.engine.evaluation import evaluate
from segengine.engine.world import World
from segengine.errors import DataError
from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import MetricPolicy, as_row, evaluate_counts
from segengine.runs import names
from segengine.specs.load import load_experiment
from segengine.workflow.data import load_dataset
from segengine.workflow.events import Doing, Listener
from segengine.workflow.trained import Trained, load_trained


@dataclass(frozen=True)
class Evaluated:
    """Scores of a run on one split, shaped as in metrics.jsonl, and the counts that they follow from."""

    split: str
    scores: dict[str, Any]
    counts: ImageCounts
    same_data: bool


def evaluate_run(path: Path, split: str | None, overrides: Sequence[str], device: str, listener: Listener) -> Evaluated:
    """Score a run's chosen checkpoint on a split of its spec's data, which `overrides` may replace.

    Raises:
        RunError: no finished training in the folder.
        DataError: the data has other classes than the run, or no image in the split.
    """
    trained = load_trained(path, device)
    loaded = load_experiment(path / names.SPEC, overrides)
    experiment = next(iter(loaded.variants.values()))
    dataset = load_dataset(experiment, trained.run.get("fold"), listener)
    _check_labels(trained, [(label.name, label.raw) for label in dataset.mapper.labels], path)
    chosen = split or next(name for name in ("test", "validation", "train") if dataset.splits.get(name))
    indices = dataset.splits.get(chosen, ())
    if not indices:
        there = ", ".join(name for name, of in dataset.splits.items() if of)
        raise DataError(f"{path}: its data has no {chosen} images; there are {there}")
    done, total = 0, len(indices)

    def seen(images: int) -> None:
        nonlocal done
        done += images
        listener(Doing(f"evaluating {chosen} images", done, total))

    labels = [label.name for label in trained.mapping.labels]
    world = World(trained.predictor.device)
    counts = ImageCounts.of(evaluate(trained.predictor, dataset, indices, len(labels), world, seen=seen), len(labels))
    stated = trained.run["metric_policy"]
    policy = MetricPolicy(tuple(stated["averaged"]), tuple(stated["left_out"]))
    same = trained.run["data"]["fingerprint"] == dataset.fingerprint
    return Evaluated(chosen, as_row(evaluate_counts(counts), labels, policy), counts, same)


def _check_labels(trained: Trained, found: list[tuple[str, Any]], path: Path) -> None:
    expected = [(label.name, label.raw) for label in trained.mapping.labels]
    if found != expected:
        said = "; ".join(", ".join(f"{name} = {raw}" for name, raw in labels) for labels in (expected, found))
        raise DataError(f"{path}: was trained with other classes than the data has: {said}")
