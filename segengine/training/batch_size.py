"""`training.batch_size: auto`: the largest batch that there is memory for, found once and kept."""

from __future__ import annotations

from dataclasses import replace

from segengine.building.build import build_loss, build_mixing, build_segmenter, training_size
from segengine.data.batches.device_store import free_bytes
from segengine.engine.batch_size import Trial, largest_that_fits, learns_statistics, sizes
from segengine.engine.distributed import World
from segengine.engine.memory import free_memory
from segengine.engine.non_finite import steps_ahead
from segengine.engine.precision import repeatable
from segengine.engine.step import Step
from segengine.engine.wrap_model import placed
from segengine.errors import RunError
from segengine.events import Doing
from segengine.nn.segmenter import Segmenter
from segengine.training.context import FoundBatch, Setting
from segengine.training.streams import bytes_on_device
from segengine.training.trainable import build_trainable

SHARE = 0.9
"""Of the free memory, at most: pieces that are too small to use, and what batches are made with, need the rest."""
MOST = 64
"""Images of an optimizer step, at most: more need another learning rate, and the gain in speed is small."""
STEPS_AN_EPOCH = 10
FEW = 8
"""That many images a step are taken even where an epoch then has fewer than `STEPS_AN_EPOCH` steps."""


def with_batch_size(setting: Setting) -> Setting:
    """The setting with its batch size; a run that has begun keeps what it found then, on any machine.

    Weights and torch's generators are as before: the network that is tried is thrown away.

    Raises:
        RunError: not even the smallest batch fits, or nobody tells how much memory a step takes.
    """
    if setting.request.experiment.training.batch_size != "auto":
        return setting
    folder, world = setting.request.folder, setting.world
    kept = world.gathered(folder.read().get("found_batch") if world.main and folder.exists else None)[0]
    return replace(setting, found_batch=FoundBatch(**kept) if kept else found_batch(setting))


def found_batch(setting: Setting) -> FoundBatch:
    """The largest batch that fits, by steps of a throwaway network; all processes agree on the smallest.

    Raises:
        RunError: not even the smallest batch fits, or nobody tells how much memory a step takes.
    """
    training, world = setting.request.experiment.training, setting.world
    images = len(setting.dataset.splits["train"])
    most = most_images(images)
    free = _free(world)
    usable = int(SHARE * free) - bytes_on_device(setting)
    setting.listener(Doing("trying batch sizes", 0, 1))
    with repeatable(setting.request.seed, deterministic=training.deterministic):
        model = build_segmenter(
            setting.request.experiment,
            channels=setting.dataset.channels,
            num_classes=setting.num_classes,
            training=True,
        )
        model = placed(model, world.device)
        numbers = sizes(_least(setting, model), most // (training.accumulate * world.size))
        if world.size > 1:  # what gradients are sent in
            usable -= sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
        found = largest_that_fits(_trial(setting, model), numbers, usable, free)
    del model
    free_memory(world.device)
    setting.listener(Doing("trying batch sizes", 1, 1))
    each = min((number or 0 for number in world.gathered(found)), default=0)
    where = "on the GPU" if world.device.type == "cuda" else "in memory"
    memory = f"{SHARE:.0%} of the {free / 1e9:.1f} GB free {where}"
    if not each:
        raise RunError(
            f"training.batch_size: auto: a step with {_images(numbers[0])} doesn't fit into {memory}; choose a smaller crop or "
            "network, set training.gradient_checkpointing: true, or close other programs that use the memory"
        )
    shared = f" ({each} in each of {world.size} processes)" if world.size > 1 else ""
    more = next((number for number in numbers if number > each), None)
    why = (
        f"a step with {more * world.size} doesn't fit into {memory}"
        if more
        else f"a step sees no more than {max(most, numbers[0] * training.accumulate * world.size)} of {images} training images"
    )
    return FoundBatch(each * world.size, f"{_images(each * world.size)}{shared}; {why}")


def most_images(images: int) -> int:
    """How many of so many training images an optimizer step sees at most."""
    return min(MOST, max(FEW, images // STEPS_AN_EPOCH), images)


def _free(world: World) -> int:
    """Bytes that each process can take: processes and runs beside each other on one CPU share its memory."""
    free_memory(world.device)
    free = min(world.gathered(free_bytes(world.device)))
    return int(free) // (world.size * world.share if world.device.type == "cpu" else 1)


def _least(setting: Setting, model: Segmenter) -> int:
    """The fewest images of a process: 2 where batch normalisation learns or images are mixed, else 1."""
    processes = setting.world.size
    mixing = build_mixing(setting.request.experiment, setting.dataset, 2 * processes, processes=processes)
    return 2 if mixing or learns_statistics(model) else 1


def _trial(setting: Setting, model: Segmenter) -> Trial:
    experiment, world, dataset = setting.request.experiment, setting.world, setting.dataset
    trainable = build_trainable(setting, model, 1)
    alone = World(world.device)
    loss = build_loss(experiment, dataset).to(world.device)
    step = Step(
        trainable, model, loss, setting.precision, alone, experiment.training.clip_norm, str,
        ahead=steps_ahead(trainable, world.device),
    )  # fmt: skip
    size = training_size(experiment, dataset)
    assert size is not None, "build_pipeline refuses batches of different sizes"
    return Trial.of(step, dataset.channels, size, setting.num_classes, experiment.training.accumulate)


def _images(number: int) -> str:
    return f"{number} image{'s' if number != 1 else ''}"
