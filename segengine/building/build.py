"""From an experiment's components to torch objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segengine.errors import DataError, SegengineError, SpecError

if TYPE_CHECKING:
    from torch import nn

    from segengine.data.augment.pipeline import Pipeline
    from segengine.data.augment.transforms import BatchTransform, Transform
    from segengine.data.batches.dataset import Dataset
    from segengine.nn.segmenter import Segmenter
    from segengine.specs.experiment import Experiment
    from segengine.specs.sections import TrainingSection


def preflight(experiment: Experiment) -> None:
    """Check all that can be checked without data: files of weights, names that only a library knows, the network itself.

    Raises:
        SpecError: all problems, a line each.
    """
    problems = []
    for component in experiment.components():
        try:
            component.preflight()
        except SegengineError as error:
            problems += str(error).splitlines()
    if experiment.data.cache == "device" and not problems:
        alone = without_batch_form(
            experiment, [augmentation.build(size=None) for augmentation in experiment.augmentations]
        )
        problems += [refused_on_device(alone)] if alone else []
    if problems:
        raise SpecError("\n".join(dict.fromkeys(problems)))


def build_segmenter(experiment: Experiment, *, channels: int, num_classes: int, training: bool = False) -> Segmenter:
    """The network, freshly initialised from torch's generator (pretrained weights where the backbone says so).

    With `training` it has the auxiliary heads, and recomputes inner maps, if the experiment asks for that.
    """
    from segengine.nn.segmenter import Segmenter

    model = experiment.model
    backbone = model.backbone.build(in_channels=channels, output_stride=model.decoder.wanted_stride)
    decoder = model.decoder.build(channels=backbone.channels, strides=backbone.strides)
    segmenter = Segmenter(backbone, decoder, num_classes)
    if training and model.auxiliary_weight:
        segmenter.add_auxiliary_heads()
    if model.freeze_backbone:
        segmenter.freeze_backbone()
    if training and experiment.training.gradient_checkpointing:
        segmenter.recompute_activations()
    return segmenter


def build_pipeline(experiment: Experiment, dataset: Dataset) -> Pipeline:
    """The augmentations of single samples in order, each told the size that the one before gives.

    Raises:
        DataError: training images differ in size and no augmentation makes them equal.
    """
    from segengine.data.augment.pipeline import Pipeline

    transforms, _ = _transforms(experiment, dataset)
    size = training_size(experiment, dataset)
    if size is None and experiment.training.batch_size != 1:
        raise DataError(
            f"training images have different sizes ({_examples(dataset)}) and can't be batched; end `augmentations` with "
            "{name: crop, size: 256}, or set training.batch_size: 1"
        )
    return Pipeline(transforms)


def training_size(experiment: Experiment, dataset: Dataset) -> tuple[int, int] | None:
    """Height and width in pixels of training samples, None where they differ."""
    transforms, _ = _transforms(experiment, dataset)
    return transforms[-1].size if transforms else _common_size(dataset)


def build_mixing(
    experiment: Experiment, dataset: Dataset, batch_size: int, *, processes: int
) -> Sequence[BatchTransform]:
    """The batch augmentations in order; empty where the experiment has none.

    Raises:
        SpecError: one of single samples follows them, or a process has a single image a batch, which mixes with nothing.
    """
    transforms, mixing = _transforms(experiment, dataset)
    if mixing and batch_size < 2 * processes:
        raise SpecError(
            f"augmentations: {experiment.augmentations[len(transforms)].name} mixes the images of a batch, and "
            f"training.batch_size {batch_size} leaves one image per process; set it to "
            f"{2 * processes} or more"
        )
    return mixing


def _transforms(experiment: Experiment, dataset: Dataset) -> tuple[list[Transform], list[BatchTransform]]:
    """What is done to single samples, and then to batches."""
    from segengine.data.augment.transforms import BatchTransform

    size = _common_size(dataset)
    samples: list[Transform] = []
    batches: list[BatchTransform] = []
    for augmentation in experiment.augmentations:
        built = augmentation.build(size=size)
        size = built.size
        if isinstance(built, BatchTransform):
            batches.append(built)
        elif batches:
            first = experiment.augmentations[len(samples)].name
            raise SpecError(
                f"augmentations: {augmentation.name} follows {first}, which mixes whole batches; move {first} after it"
            )
        else:
            samples.append(built)
    return samples, batches


def without_batch_form(experiment: Experiment, built: Sequence[object]) -> list[str]:
    """The names of the augmentations, of those that were `built`, which work sample by sample on a CPU alone."""
    from segengine.data.augment.transforms import BatchTransform, GeometricTransform, LevelTransform

    pairs = zip(experiment.augmentations, built, strict=False)
    return [
        each.name for each, made in pairs if not isinstance(made, BatchTransform | GeometricTransform | LevelTransform)
    ]


def refused_on_device(alone: Sequence[str]) -> str:
    """The message of `data.cache: device` with such augmentations."""
    return (
        f"data.cache: device: {', '.join(dict.fromkeys(alone))} runs on the CPU only; remove it from augmentations, "
        "or set data.cache: auto"
    )


def _common_size(dataset: Dataset) -> tuple[int, int] | None:
    sizes = {(int(h), int(w)) for h, w in dataset.sizes[list(dataset.splits["train"])]}
    return sizes.pop() if len(sizes) == 1 else None


def _examples(dataset: Dataset) -> str:
    found: dict[tuple[int, int], str] = {}
    for index in dataset.splits["train"]:
        height, width = (int(n) for n in dataset.sizes[index])
        found.setdefault((height, width), dataset.records[index].id)
    return ", ".join(f"{name}: {w}x{h}" for (h, w), name in list(found.items())[:2])


def parameter_groups(model: Segmenter, training: TrainingSection) -> list[dict[str, Any]]:
    """What the optimizer moves: weights decay; biases, norms and other vectors don't (He et al., Bag of Tricks, 2019).

    With a learning-rate factor other than 1 the backbone's parameters are groups of their own, with their own `lr`;
    the first group has the optimizer's. Frozen parameters are in none.
    """
    moved = [p for p in model.parameters() if p.requires_grad]
    factor = training.backbone_learning_rate_factor
    if factor == 1 or model.backbone_frozen:
        return _decaying_or_not(moved)
    inside = {id(p) for p in model.backbone.parameters()}
    rate = training.optimizer.peak_learning_rate * factor
    slow = _decaying_or_not([p for p in moved if id(p) in inside])
    return [
        *_decaying_or_not([p for p in moved if id(p) not in inside]),
        *({**group, "lr": rate} for group in slow),
    ]


def _decaying_or_not(parameters: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
    weights = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    return [{"params": weights}, {"params": vectors, "weight_decay": 0.0}]


def build_loss(experiment: Experiment, dataset: Dataset) -> nn.Module:
    """The loss, told the training images' class frequencies."""
    from segengine.data.masks.mapping import IGNORE
    from segengine.nn.auxiliary import SupervisedLoss

    pixels = dataset.class_pixels[list(dataset.splits["train"])].sum(0)
    classes, weight = len(dataset.mapper.labels), experiment.model.auxiliary_weight
    loss = experiment.loss.build(num_classes=classes, ignore_index=IGNORE, class_pixels=[int(n) for n in pixels])
    return SupervisedLoss(loss, classes, weight) if weight else loss
