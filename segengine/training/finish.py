"""After training: evaluate the best checkpoint, write its weights and the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from segengine.building.build import build_pipeline, training_size
from segengine.building.measuring import (
    Spacings,
    as_rows,
    measurement,
    record_of,
    sentence,
    values_by_label,
    write_tables,
)
from segengine.building.model_card import write_model_card
from segengine.data.batches.randomness import generator, permutation
from segengine.engine.checkpoint import save_weights
from segengine.engine.cost import macs
from segengine.engine.distributed import device_name
from segengine.engine.evaluation import Measured
from segengine.errors import counted, unexpected
from segengine.events import Counts, Doing, Note, RunEnded
from segengine.figures.examples import Augmented, Example, best_median_worst
from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import as_row, evaluate_counts
from segengine.metrics.values import Measurement, MetricValues
from segengine.report.run_report import RunReport
from segengine.report.write import write_run_report
from segengine.runs import names
from segengine.runs.tables import counts_exist, read_counts, read_metrics, write_counts
from segengine.specs.sections import EvaluationSection
from segengine.training.context import RunContext
from segengine.training.recorder import Recorder
from segengine.training.run_cost import measure_run

if TYPE_CHECKING:
    from segengine.nn.segmenter import Segmenter

_SHEET = 8  # maximum number of samples in the augmentation figure


def finish(
    context: RunContext, model: Segmenter, recorder: Recorder, stop_wanted: Callable[[], bool] = lambda: False
) -> Mapping[str, Any]:
    """Evaluate `model` (the best checkpoint) and write the remaining files of the run folder; returns run.json.

    After a stop request, steps that can be repeated later are skipped.
    """
    split = next(name for name in ("test", "validation", "train") if context.dataset.splits.get(name))
    evaluation = context.request.experiment.evaluation
    made = measurement(evaluation.metrics, evaluation, recorder.names, context.policy, context.dataset.spacings)
    found, measured = _evaluated(context, model, split, made)
    counts = ImageCounts.of(found, context.num_classes)
    scores = as_row(evaluate_counts(counts, context.dataset.groups(split)), recorder.names, context.policy)
    if not context.world.main:
        return {"status": "finished"}
    folder = context.request.folder
    write_counts(folder / names.counts_file(split), counts)
    weights = save_weights(folder / names.WEIGHTS, model)
    rows = read_metrics(folder / names.METRICS)
    train_seconds = sum(row["seconds"] for row in rows)
    images = sum(row["seconds"] * row["images_per_second"] for row in rows)
    size = recorder.input_size()
    facts = {
        "macs": macs(model, context.dataset.channels, *size), "macs_size": list(size),
        "weights": {"sha256": weights}, "scores": {split: scores}, "train_seconds": round(train_seconds, 3),
        "images_per_second": round(images / train_seconds, 3) if train_seconds else None,
    }  # fmt: skip
    document = folder.update(**facts)
    if made is not None:
        _metrics(recorder, split, values_by_label(measured, made), evaluation, context.dataset.spacings)
    if context.request.experiment.evaluation.cost and not stop_wanted():
        _cost(context, model, recorder)
    context.listener(Doing("drawing the report", 0, 1))
    _report(context, model, recorder, counts, document)
    context.listener(Doing("drawing the report", 1, 1))
    document = recorder.end("finished", "")
    _model_card(recorder)
    recorder.emit(RunEnded(folder.path, "finished", "", split, scores))
    return document


def _model_card(recorder: Recorder) -> None:
    """Write the model card; a failure is a note and doesn't fail the run."""
    try:
        write_model_card(recorder.folder)
    except Exception as error:
        recorder.emit(Note(f"the model card could not be written: {unexpected(error)}"))


def _metrics(
    recorder: Recorder,
    split: str,
    values: Mapping[str, MetricValues],
    evaluation: EvaluationSection,
    spacings: Spacings,
) -> None:
    """Write the metrics' per-image values, and report the means."""
    records = {metric.label(): record_of(metric, evaluation, spacings) for metric in evaluation.metrics}
    write_tables(recorder.folder, split, values, records)
    rows = as_rows(values, records, recorder.names)
    recorder.folder.update(metrics={split: rows})
    for row in rows.values():
        recorder.emit(Note(sentence(row, split)))


def _cost(context: RunContext, model: Segmenter, recorder: Recorder) -> None:
    """Measure the network's cost; a failure is a note and doesn't fail the run."""
    context.listener(Doing("measuring latency", 0, 1))
    size = context.dataset.sizes[context.dataset.splits["train"][0]]
    height, width = training_size(context.request.experiment, context.dataset) or map(int, size)
    images = context.memory.micro_batch or context.batch_size // context.world.size
    try:
        measure_run(context, model, recorder.input_size(), images * height * width)
    except (RuntimeError, OSError) as error:
        recorder.emit(Note(f"the network's cost could not be measured: {unexpected(error)}"))
    context.listener(Doing("measuring latency", 1, 1))


def _evaluated(
    context: RunContext, model: Segmenter, split: str, made: Measurement | None
) -> tuple[Counts, dict[int, Measured]]:
    """Counts and metric values on the split; validation counts are read from the file written with the best checkpoint."""
    path = context.request.folder / names.counts_file(split)
    if split == "validation" and counts_exist(path) and made is None:
        stored = read_counts(path, context.num_classes, context.dataset.splits[split])
        return {index: stored[index] for index in stored.indices}, {}
    return context.count_and_measure(model, split, made)


def _report(
    context: RunContext, model: Segmenter, recorder: Recorder, counts: ImageCounts, run: Mapping[str, Any]
) -> None:
    request, dataset = context.request, context.dataset
    report = RunReport(
        title=request.experiment.title or request.loaded.name, variant=request.variant, seed=request.seed, status="finished",
        labels=dataset.mapper.labels, rows=read_metrics(request.folder / names.METRICS),
        scores=run["scores"], confusion=counts.total(), best=(run["best"] or {}).get("epoch"),
        examples=_examples(context, model, counts), augmentations=_augmented(context), facts=_facts(context, run),
        warnings=list(dataset.warnings), spec=request.spec_text(), model=recorder.model_text(),
        training_images=len(dataset.splits["train"]), planned_epochs=request.experiment.training.epochs,
        seeds=len(request.loaded.seeds), seconds=run["train_seconds"],
    )  # fmt: skip
    try:
        write_run_report(request.folder.path, report)
    except Exception as error:  # a failed figure must not fail the run
        recorder.emit(Note(f"the report could not be drawn: {type(error).__name__}: {error}"))


def _examples(context: RunContext, model: Segmenter, counts: ImageCounts) -> list[Example]:
    averaged = [k for k, label in enumerate(context.dataset.mapper.labels) if label.name in context.policy.averaged]
    each = {
        i: evaluate_counts(ImageCounts.of({i: counts[i]}, context.num_classes)).mean(averaged) for i in counts.indices
    }
    by_id = {context.dataset.records[i].id: i for i in counts.indices}
    predictor = context.predictor(model)
    examples = []
    for rank, name in best_median_worst({name: each[i] for name, i in by_id.items()}).items():
        image, truth = context.dataset.pair(by_id[name])
        prediction = predictor.image_classes(image)
        examples.append(Example(name, each[by_id[name]], image, prediction, truth, rank))
    return examples


def _augmented(context: RunContext) -> list[Augmented]:
    """Samples of the first batch before and after augmentation."""
    dataset, seed = context.dataset, context.request.seed
    pipeline, train = build_pipeline(context.request.experiment, dataset), dataset.splits["train"]
    samples = []
    for place in permutation(seed, 0, len(train))[: min(_SHEET, context.batch_size)]:
        index = train[int(place)]
        image, classes = dataset.pair(index)
        record = dataset.records[index]
        samples.append(Augmented(record.id, image, classes, *pipeline(image, classes, generator(seed, 0, record.id))))
    return samples


def _facts(context: RunContext, run: Mapping[str, Any]) -> dict[str, Any]:
    data, device = run["data"], device_name(context.world.device)
    images = ", ".join(f"{count} {split}" for split, count in data["images"].items() if count)
    cost = {
        "parameters": f"{run['parameters']:,}",
        "multiply-adds per image": f"{run['macs']:,} at {run['macs_size'][1]}x{run['macs_size'][0]}",
        "training": f"{run['train_seconds'] / 60:.1f} minutes, {run['images_per_second']} images/s",
    }  # fmt: skip
    batch = context.batch_text or counted(context.batch_size, "image")
    return {
        "Data": {"images": images, "fingerprint": data["fingerprint"], "channels": data["channels"]},
        **({"Initial weights": _weights_text(run["initial_weights"])} if run.get("initial_weights") else {}),
        "Cost": {**cost, "batch": batch, "device": device, "precision": run["precision"]},
        "Scores": {k: ", ".join(v) if isinstance(v, list) else v for k, v in run["metric_policy"].items()},
        "Versions": {**run["versions"], **run["plugins"]},
        "Started": {"at": run["started"], "by": run["command"], "commit": (run["git"] or {}).get("commit", "")},
    }


def _weights_text(loaded: Mapping[str, Any]) -> dict[str, str]:
    unused = loaded["unused"]
    more = f": {', '.join(unused[:4])}{', ...' if len(unused) > 4 else ''}" if unused else ""
    return {
        "file": loaded["file"], "sha256": loaded["sha256"] or "",
        **{key: loaded[key] for key in ("licence", "source") if loaded.get(key)},
        "coverage": f"{loaded['loaded']} of the backbone's {loaded['tensors']} tensors; {len(unused)} keys of the file unused{more}"
        + ("; first layer adapted to the images' channels" if loaded["first_layer_adapted"] else ""),
    }  # fmt: skip
