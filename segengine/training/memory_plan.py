"""Batch size, micro-batch and evaluation batch of a run, determined by a dry run before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from segengine.building.build import build_loss, build_mixing, build_segmenter, training_size
from segengine.engine.distributed import World
from segengine.engine.dry_run import (
    DryRun,
    batch_sizes,
    evaluated_size,
    fitting_batch,
    fitting_evaluation_batch,
    fitting_micro_batch,
    learns_statistics,
)
from segengine.engine.evaluation import most_images as most_evaluated
from segengine.engine.memory import free_bytes, release_memory
from segengine.engine.non_finite import queue_depth
from segengine.engine.precision import nondeterministic_operations, repeatable
from segengine.engine.step import TrainingStep
from segengine.engine.wrap_model import placed
from segengine.errors import RunError
from segengine.events import Doing, Note
from segengine.nn.segmenter import Segmenter
from segengine.training.context import FoundBatch, MemoryPlan, RunContext
from segengine.training.streams import bytes_on_device
from segengine.training.trainable import build_trainable

USABLE = 0.9
"""Maximum fraction of free memory used by `batch_size: auto`; the rest is for fragmentation and batch preparation."""
MOST = 64
"""Maximum automatic batch size: larger batches need a different learning rate and gain little speed."""
MOST_ON_CPU = 8
"""Maximum automatic batch size on a CPU, where larger batches aren't faster."""
STEPS_PER_EPOCH = 10
FEW = 8
"""Minimum automatic batch size, even if an epoch then has fewer than `STEPS_PER_EPOCH` steps."""


def with_memory_plan(context: RunContext) -> RunContext:
    """The context with its batch sizes; a resumed run keeps its batch size, and a micro-batch no larger than before.

    There is no dry run on a CPU, where running out of memory kills the process. Weights and torch's generators are
    unchanged: the dry run uses a temporary network.

    Raises:
        RunError: not even a single image fits, or the system doesn't report memory that `batch_size: auto` needs.
    """
    training, world = context.request.experiment.training, context.world
    kept = world.gathered(_kept(context) if world.main else None)[0]
    found = FoundBatch(**kept["found_batch"]) if kept["found_batch"] else None
    micro_batch = kept["micro_batch"] and kept["micro_batch"]["images"]
    if not tries_memory(world):
        if training.batch_size == "auto" and found is None:
            found = batch_on_cpu(context)
        return replace(context, found_batch=found, memory=MemoryPlan(micro_batch, None))
    return _tried(context, found, micro_batch)


def tries_memory(world: World) -> bool:
    """Whether running out of memory raises an error that a dry run can catch."""
    return world.device.type != "cpu"


def _kept(context: RunContext) -> dict[str, dict[str, int] | None]:
    folder = context.request.folder
    run = folder.read() if folder.exists else {}
    return {name: run.get(name) for name in ("found_batch", "micro_batch")}


def _tried(context: RunContext, found: FoundBatch | None, micro_batch: int | None) -> RunContext:
    import torch

    training, world = context.request.experiment.training, context.world
    context.listener(Doing("searching for batch sizes that fit into memory", 0, 1))
    release_memory(world.device)
    gpus = [world.device] if world.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=gpus),
        repeatable(context.request.seed, deterministic=training.deterministic),
        nondeterministic_operations() as operations,
    ):
        trial = _Trial.of(context)
        if training.batch_size == "auto" and found is None:
            found = searched_batch(context, trial)
        whole = replace(context, found_batch=found).batch_size // world.size
        fitting = fitting_micro_batch(trial.dry_run, max(1, min(whole, micro_batch or whole)))
        pixels = trial.dry_run.evaluated_size[0] * trial.dry_run.evaluated_size[1]
        most = most_evaluated(pixels, context.num_classes, world.device)
        evaluation = fitting_evaluation_batch(trial.dry_run, most)
    del trial
    release_memory(world.device)
    context.listener(Doing("searching for batch sizes that fit into memory", 1, 1))
    if training.deterministic and operations:
        context.listener(Note(_not_repeatable(sorted(operations))))
    plan = MemoryPlan(fitting if fitting < whole else None, evaluation)
    context.limits.images = evaluation
    return replace(context, found_batch=found, memory=plan)


def _not_repeatable(operations: Sequence[str]) -> str:
    return (
        f"training.deterministic: true: {', '.join(operations)} {'have' if len(operations) > 1 else 'has'} no deterministic "
        "implementation on this device, so that repeated runs differ by rounding; another decoder or loss may avoid it"
    )


@dataclass
class _Trial:
    """The dry run of a temporary network, the candidate batch sizes per process, and the free memory before construction."""

    dry_run: DryRun
    numbers: Sequence[int]
    free: int

    @classmethod
    def of(cls, context: RunContext) -> _Trial:
        experiment, world, dataset = context.request.experiment, context.world, context.dataset
        free = min(world.gathered(free_bytes(world.device)))
        model = build_segmenter(experiment, channels=dataset.channels, num_classes=context.num_classes, training=True)
        model = placed(model, world.device)
        trainable = build_trainable(context, model, 1)
        loss = build_loss(experiment, dataset).to(world.device)
        step = TrainingStep(
            trainable, model, loss, context.precision, World(world.device), experiment.training.clip_norm, str,
            queue_depth=queue_depth(trainable.optimizer, world.device),
        )  # fmt: skip
        reserved = bytes_on_device(context)
        if world.size > 1:  # buffers in which processes exchange gradients
            reserved += sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
        largest = max(dataset.sizes[list(dataset.splits["train"])].tolist())
        evaluated = [i for split in ("validation", "test") for i in dataset.splits.get(split, ())]
        dry_run = DryRun.of(
            world, step, context.predictor(model), channels=dataset.channels,
            size=training_size(experiment, dataset) or (int(largest[0]), int(largest[1])),
            evaluated_size=evaluated_size(_sizes(context, evaluated or dataset.splits["train"])),
            num_classes=context.num_classes, accumulate=experiment.training.accumulate, reserved_bytes=reserved,
        )  # fmt: skip
        steps = experiment.training.accumulate * world.size
        numbers = batch_sizes(_least(context, model), most_images(len(dataset.splits["train"])) // steps)
        return cls(dry_run, numbers, int(free))


def _sizes(context: RunContext, indices: Sequence[int]) -> list[tuple[int, int]]:
    return [(int(height), int(width)) for height, width in context.dataset.sizes[list(indices)]]


def searched_batch(context: RunContext, trial: _Trial) -> FoundBatch:
    """The largest batch whose step takes at most `USABLE` of the free memory; the minimum over all processes.

    Raises:
        RunError: not even the smallest batch fits, or the system doesn't report how much memory a step takes.
    """
    world, numbers = context.world, trial.numbers
    usable = int(USABLE * trial.free) - trial.dry_run.reserved_bytes
    each = fitting_batch(trial.dry_run, numbers, usable)
    memory = f"{USABLE:.0%} of the {trial.free / 1e9:.1f} GB free on the GPU"
    if each is None:
        raise RunError(
            f"training.batch_size: auto: a step with {_images(numbers[0])} doesn't fit into {memory}; choose a smaller crop or "
            "network, set training.gradient_checkpointing: true, or close other programs that use the memory"
        )
    more = next((number for number in numbers if number > each), None)
    if more:
        return _found(context, each, f"a step with {more * world.size} doesn't fit into {memory}")
    return _found(context, each, _no_more(context, numbers[0], most_images(len(context.dataset.splits["train"]))))


def batch_on_cpu(context: RunContext) -> FoundBatch:
    """The automatic batch on a CPU: no search, at most `MOST_ON_CPU` images per step."""
    most = most_images(len(context.dataset.splits["train"]))
    steps = context.request.experiment.training.accumulate * context.world.size
    numbers = batch_sizes(2, min(most, MOST_ON_CPU) // steps)
    if most > MOST_ON_CPU:
        return _found(context, numbers[-1], f"at most {MOST_ON_CPU} images per step on a CPU")
    return _found(context, numbers[-1], _no_more(context, numbers[0], most))


def _no_more(context: RunContext, least: int, most: int) -> str:
    steps = context.request.experiment.training.accumulate * context.world.size
    images = len(context.dataset.splits["train"])
    return f"at most {max(most, least * steps)} of {images} training images per step"


def _found(context: RunContext, each: int, why: str) -> FoundBatch:
    size = context.world.size
    divided = f" ({each} in each of {size} processes)" if size > 1 else ""
    return FoundBatch(each * size, f"{_images(each * size)}{divided}; {why}")


def most_images(images: int) -> int:
    """Maximum automatic batch size for a number of training images."""
    return min(MOST, max(FEW, images // STEPS_PER_EPOCH), images)


def _least(context: RunContext, model: Segmenter) -> int:
    """Minimum batch size per process: 2 with trained batch normalisation or mixing augmentations, else 1."""
    processes = context.world.size
    mixing = build_mixing(context.request.experiment, context.dataset, 2 * processes, processes=processes)
    return 2 if mixing or learns_statistics(model) else 1


def _images(number: int) -> str:
    return f"{number} image{'s' if number != 1 else ''}"
