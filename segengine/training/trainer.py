"""Training of one run, from the start or its last checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from segengine.building.build import (
    build_loss,
    build_segmenter,
    training_size,
)
from segengine.data.batches.dataset import Dataset
from segengine.engine import checkpoint
from segengine.engine.checkpoint import CheckpointPaths, Progress, Trainable
from segengine.engine.cost import parameter_count
from segengine.engine.distributed import World
from segengine.engine.dry_run import held_bytes
from segengine.engine.fit import Evaluator, FitSettings, fit
from segengine.engine.memory import PeakMemory, keep_freed_memory
from segengine.engine.non_finite import queue_depth
from segengine.engine.precision import pick_precision, repeatable, seed_everything
from segengine.engine.step import TrainingStep
from segengine.engine.wrap_model import placed, with_shared_statistics
from segengine.events import Counts, Listener, Note
from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import evaluate_counts
from segengine.nn.segmenter import Segmenter
from segengine.runs import names
from segengine.training.compile_network import training_network
from segengine.training.context import RunContext, metric_policy
from segengine.training.finish import finish
from segengine.training.listeners import Listeners
from segengine.training.log import log
from segengine.training.memory_plan import with_memory_plan
from segengine.training.recorder import Recorder
from segengine.training.request import RunRequest
from segengine.training.streams import training_input
from segengine.training.trainable import build_trainable

_BY_TIME = (
    "training has a time budget: the number of steps depends on the machine and its load, so that repeated "
    "and resumed runs differ by more than rounding"
)


def train_run(
    request: RunRequest, dataset: Dataset, world: World, listener: Listener, stop_wanted: Callable[[], bool]
) -> Mapping[str, Any]:
    """Train, evaluate the best checkpoint, and write the run folder.

    Returns run.json. An interrupted run resumes from its last checkpoint.

    Raises:
        SegengineError: the run failed; run.json has status `failed` and the reason, and checkpoints are kept.
    """
    experiment = request.experiment
    labels = [label.name for label in dataset.mapper.labels]
    policy = metric_policy(experiment.evaluation.leave_out, labels)
    precision = pick_precision(experiment.training.precision, world.device)
    listeners = Listeners(partial(log, request.folder / names.LOG), listener) if world.main else Listeners()
    context = RunContext(request, dataset, world, precision, policy, listeners)
    keep_freed_memory(world.device)
    context = with_memory_plan(context)
    with repeatable(request.seed, deterministic=experiment.training.deterministic):
        model = build_segmenter(experiment, channels=dataset.channels, num_classes=context.num_classes, training=True)
        model = placed(model, world.device)
        if experiment.training.sync_batch_norm:
            model = with_shared_statistics(model, world)
        recorder = Recorder(context.request, dataset, world, policy, listeners)
        if any((request.folder / name).exists() for name in (names.LAST, names.PREVIOUS)):
            recorder.check_same_data()
        with recorder.attempt():
            return _train(context, model, recorder, stop_wanted)


def _train(
    context: RunContext, model: Segmenter, recorder: Recorder, stop_wanted: Callable[[], bool]
) -> Mapping[str, Any]:
    request, world, dataset = context.request, context.world, context.dataset
    training, folder = request.experiment.training, request.folder
    made = training_input(context)
    stream = made.stream
    steps_per_epoch = -(-stream.steps_per_epoch // training.accumulate)
    trainable = build_trainable(context, model, training.epochs and training.epochs * steps_per_epoch)
    paths = CheckpointPaths(folder / names.LAST, folder / names.BEST, folder / names.PREVIOUS)
    progress, note = _restored(paths, trainable, world) if folder.exists else (Progress(), "")
    loss = build_loss(request.experiment, dataset).to(world.device)
    batches = training.epochs and training.epochs * stream.steps_per_epoch
    network, compilation = training_network(context, model, loss, batches)
    recorder.start(
        progress, steps_per_epoch=steps_per_epoch, precision=context.precision.name, batch_size=context.batch_size,
        found_batch=context.found_batch and asdict(context.found_batch),
        parameters=parameter_count(model) - parameter_count(model.auxiliary), strides=model.backbone.strides,
        training_size=training_size(request.experiment, dataset), augmented_on=made.augmented_on,
        compilation=compilation.as_dict(), initial_weights=getattr(model.backbone, "initial_weights", None),
    )  # fmt: skip
    recorder.record_memory_plan(context.memory)
    for text in filter(None, (note, context.batch_text, made.note)):
        recorder.emit(Note(text))
    if training.compile and (compilation.used or training.compile != "auto" or world.device.type == "cuda"):
        recorder.emit(Note(f"the network is {'' if compilation.used else 'not '}compiled: {compilation.why}"))
    if training.minutes is not None:
        recorder.emit(Note(_BY_TIME))
    names_of = [record.id for record in dataset.records]
    step = TrainingStep(
        trainable, network, loss, context.precision, world, training.clip_norm, names_of.__getitem__,
        micro_batch=context.memory.micro_batch, queue_depth=queue_depth(trainable.optimizer, world.device),
    )  # fmt: skip
    if not progress.step:
        seed_everything(request.seed)  # independent of random numbers drawn while wrapping
    memory = PeakMemory(world.device, held=held_bytes(trainable))
    try:
        for event in fit(
            step,
            stream,
            _settings(request),
            paths,
            evaluator=_evaluator(context),
            progress=progress,
            stop_wanted=stop_wanted,
        ):
            recorder.take(event)
    finally:
        stream.close()
    recorder.record_peak_memory(memory.peak())
    if recorder.interrupted:
        return recorder.end("interrupted", "continue with the same command")
    world.barrier()  # rank 0 writes the checkpoint that all ranks read
    best = checkpoint.load(paths.best)
    model.load_state_dict(best["model"])
    model.drop_auxiliary_heads()
    return finish(context, model, recorder, stop_wanted)


def _restored(paths: CheckpointPaths, trainable: Trainable, world: World) -> tuple[Progress, str]:
    """The restored progress, and a note about the checkpoints ('' if none)."""
    found, note = checkpoint.load_newest(paths.last, paths.previous)
    if note:
        world.barrier()  # all ranks have read it
        if world.main:
            paths.last.unlink(missing_ok=True)  # so that it never replaces the intact one
    return (
        (checkpoint.restore(found, trainable, rank=world.rank, size=world.size), note)
        if found is not None
        else (Progress(), "")
    )


def _settings(request: RunRequest) -> FitSettings:
    training = request.experiment.training
    stopping, saving = training.early_stopping, training.checkpoint_every
    return FitSettings(
        epochs=training.epochs, minutes=training.minutes, accumulate=training.accumulate, evaluate_every=training.evaluate_every,
        patience=stopping.patience if stopping else None, min_rise=stopping.min_rise if stopping else 0.0,
        save_epochs=saving.epochs, save_steps=saving.steps, save_minutes=saving.minutes,
    )  # fmt: skip


def _evaluator(context: RunContext) -> Evaluator | None:
    """Mean Dice on the validation images selects the best checkpoint; None without validation images: the last one is used."""
    if not context.dataset.splits.get("validation"):
        return None
    averaged = [i for i, label in enumerate(context.dataset.mapper.labels) if label.name in context.policy.averaged]

    def score(counts: Counts) -> float:
        mean = evaluate_counts(ImageCounts.of(counts, context.num_classes)).mean(averaged)
        return 0.0 if np.isnan(mean) else mean

    return Evaluator(lambda model: context.count(model, "validation"), score)
