"""Networks, pipelines and losses built from an experiment's components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segengine.building.guarded import (
    blamed,
    built_module,
    check_attributes,
    check_network,
    checked_loss,
    raised,
    try_metric,
)
from segengine.components.base import Metric
from segengine.components.lookup import is_from_plugin, spoken
from segengine.errors import DataError, SegengineError, SpecError

if TYPE_CHECKING:
    from torch import nn

    from segengine.data.augment.pipeline import Pipeline
    from segengine.data.augment.transforms import BatchTransform, Transform
    from segengine.data.batches.dataset import Dataset
    from segengine.nn.segmenter import Segmenter
    from segengine.specs.experiment import Experiment
    from segengine.specs.sections import ModelSection, TrainingSection


def preflight(experiment: Experiment) -> None:
    """Checks that need no data: weight files, model names of libraries, and the network.

    Raises:
        SpecError: all problems, one per line.
    """
    problems = []
    for component in experiment.components():
        try:
            with blamed(component, "preflight()"):
                component.preflight()
            if isinstance(component, Metric):
                try_metric(component)
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
    """The network, initialised with torch's generator, or with the backbone's pretrained weights.

    With `training`, including auxiliary heads and gradient checkpointing if enabled in the experiment.
    """
    segmenter = build_network(experiment.model, channels=channels, num_classes=num_classes)
    if training:
        parts = segmenter.backbone, segmenter.decoder
        check_network(experiment.model.backbone, experiment.model.decoder, parts, channels)
    if training and experiment.model.auxiliary_weight:
        segmenter.add_auxiliary_heads()
    if experiment.model.freeze_backbone:
        segmenter.freeze_backbone()
    if training and experiment.training.gradient_checkpointing:
        segmenter.recompute_activations()
    return segmenter


def build_network(model: ModelSection, *, channels: int, num_classes: int) -> Segmenter:
    """Backbone, decoder and classifier, as used in inference."""
    from segengine.nn.contract_checks import DECODER, declared_problems, module_problems
    from segengine.nn.segmenter import Segmenter

    backbone = built_module(model.backbone, in_channels=channels, output_stride=model.decoder.wanted_stride)
    check_attributes(model.backbone, declared_problems(backbone, channels))
    decoder = built_module(model.decoder, channels=backbone.channels, strides=backbone.strides)
    check_attributes(model.decoder, iter(module_problems(decoder, DECODER)))
    return Segmenter(backbone, decoder, num_classes)


def build_pipeline(experiment: Experiment, dataset: Dataset) -> Pipeline:
    """The sample augmentations in order; each is built with the output size of the previous one.

    Raises:
        DataError: training images differ in size, and no augmentation gives them a common size.
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
    """Height and width in pixels of training samples; None if they differ."""
    transforms, _ = _transforms(experiment, dataset)
    return transforms[-1].size if transforms else _common_size(dataset)


def build_mixing(
    experiment: Experiment, dataset: Dataset, batch_size: int, *, processes: int
) -> Sequence[BatchTransform]:
    """The batch augmentations in order; empty if there are none.

    Raises:
        SpecError: a sample augmentation follows a batch augmentation, or a process has one image per batch.
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
    """Sample transforms and batch transforms."""
    from segengine.data.augment.checked import checked_transform
    from segengine.data.augment.transforms import BatchTransform

    size = _common_size(dataset)
    samples: list[Transform] = []
    batches: list[BatchTransform] = []
    for augmentation in experiment.augmentations:
        with blamed(augmentation):
            built: Any = augmentation.build(size=size)
        if is_from_plugin(augmentation):
            built = checked_transform(built, spoken(augmentation), raised)
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
    """Names of the augmentations among `built` that have no batch implementation for the device."""
    from segengine.data.augment.transforms import BatchTransform, GeometricTransform, LevelTransform

    pairs = zip(experiment.augmentations, built, strict=False)
    return [
        each.name for each, made in pairs if not isinstance(made, BatchTransform | GeometricTransform | LevelTransform)
    ]


def refused_on_device(alone: Sequence[str]) -> str:
    """The error message for `data.cache: device` with such augmentations."""
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
    """Parameter groups of the optimizer: no weight decay for biases, norms and other vectors (He et al., Bag of Tricks, 2019).

    With a learning-rate factor other than 1 the backbone's parameters form separate groups with their own `lr`; the first
    group has the optimizer's rate. Frozen parameters are excluded.
    """
    moved = [p for p in model.parameters() if p.requires_grad]
    factor = training.backbone_learning_rate_factor
    if factor == 1 or model.backbone_frozen:
        return _decay_groups(moved)
    inside = {id(p) for p in model.backbone.parameters()}
    rate = training.optimizer.peak_learning_rate * factor
    slow = _decay_groups([p for p in moved if id(p) in inside])
    return [
        *_decay_groups([p for p in moved if id(p) not in inside]),
        *({**group, "lr": rate} for group in slow),
    ]


def _decay_groups(parameters: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
    weights = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    return [{"params": weights}, {"params": vectors, "weight_decay": 0.0}]


def build_loss(experiment: Experiment, dataset: Dataset) -> nn.Module:
    """The loss, built with the class frequencies of the training images."""
    from segengine.data.masks.mapping import IGNORE
    from segengine.nn.auxiliary import SupervisedLoss

    pixels = dataset.class_pixels[list(dataset.splits["train"])].sum(0)
    classes, weight = len(dataset.mapper.labels), experiment.model.auxiliary_weight
    with blamed(experiment.loss):
        made = experiment.loss.build(num_classes=classes, ignore_index=IGNORE, class_pixels=[int(n) for n in pixels])
    loss = checked_loss(experiment.loss, made)
    return SupervisedLoss(loss, classes, weight) if weight else loss
