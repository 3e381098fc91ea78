"""The public API for plugin authors: everything in `__all__` is stable within plugin API v1.

Importing it does not import torch; functions that need torch import it when called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from segengine.components.backbones import InitialWeights, Weights, check_weights
from segengine.components.base import (
    Augmentation,
    Backbone,
    Component,
    Decoder,
    Executor,
    Exporter,
    Loss,
    MaskMapper,
    Metric,
    MetricNeeds,
    Optimizer,
    Postprocessor,
    Reader,
    RelativePath,
    Schedule,
    Source,
    Tracker,
)
from segengine.components.choices import (
    AnyAugmentation,
    AnyBackbone,
    AnyDecoder,
    AnyExecutor,
    AnyLoss,
    AnyMaskMapper,
    AnyMetric,
    AnyOptimizer,
    AnySchedule,
    AnySource,
    AnyTracker,
)
from segengine.components.jobs import WORKER, Desk, Execute, ExecutorContext, Job, JobEnded, JobPlacement, Place, Work
from segengine.components.settings import ChangesNoNumber
from segengine.data.augment.transforms import (
    BatchTransform,
    GeometricTransform,
    Geometry,
    Image,
    Levels,
    LevelTransform,
    Mask,
    PixelTransform,
    RareCentred,
    Transform,
)
from segengine.data.files.limits import check_size
from segengine.data.files.stored import FileReader, Stored, missing_pixels
from segengine.data.files.volumes import Volume
from segengine.data.masks.mapping import (
    IGNORE,
    Evidence,
    Label,
    Mapper,
    MaskEncoding,
    MaskFacts,
    MaskSurvey,
    Postprocess,
    Raw,
    ValueFound,
)
from segengine.data.sources.records import Record
from segengine.errors import DataError, RegistryError, RunError, SegengineError, SpecError
from segengine.metrics.pairs import Classes, Floats, ImageMetric, ImagePair
from segengine.nn.contracts import BackboneModule, DecoderModule
from segengine.registry import suggest

if TYPE_CHECKING:
    from torch import nn


def build_timm_backbone(
    model: str, *, in_channels: int, output_stride: int = 32, weights: str = "none"
) -> BackboneModule:
    """A feature extractor of timm as a backbone, with mean and std of the model's pretrained configuration.

    Args:
        model: timm's name, with or without a tag: `resnet34`, `resnet34.a1_in1k`.
        in_channels: channels of the images; the first convolution of pretrained weights is adapted to them.
        output_stride: deepest stride, 8, 16 or 32.
        weights: `none`, `pretrained` (needs a network), or the path of a .safetensors or .pth file.

    Raises:
        SpecError: unknown model, unsupported output stride, or a weights file that doesn't fit.
        RunError: the pretrained weights can't be downloaded.
    """
    from segengine.nn.timm_backbone import build_timm

    return build_timm(model, in_channels=in_channels, output_stride=output_stride, weights=weights)


def check_timm_model(model: str) -> None:
    """Check that the installed timm has `model`, for a component's `preflight`.

    Raises:
        SpecError: unknown model; suggests the nearest name.
    """
    from segengine.nn import timm_backbone

    timm_backbone.check_timm_model(model)


def load_backbone_weights(
    backbone: nn.Module,
    path: str | Path,
    *,
    in_channels: int,
    whole_model: Callable[[], Collection[str]] = tuple,
    rename: Callable[[str], str] | None = None,
) -> None:
    """Copy a .safetensors or .pth file, or `store:NAME`, into a backbone; its first convolution is adapted to `in_channels`.

    Tensors of a classification head may be unused; `whole_model` returns the keys of the backbone's original network.
    `rename` converts a key of the file to the backbone's naming, for the same network written under other names.

    Raises:
        SpecError: no such file, not plain tensors, or a tensor of the backbone missing or of another shape.
    """
    from segengine.nn.weights import load_backbone, read_weights

    state = read_weights(path)
    if rename is not None:
        state = {rename(key): tensor for key, tensor in state.items()}
    load_backbone(backbone, state, in_channels=in_channels, source=str(path), whole_model=whole_model)


__all__ = [
    "AnyAugmentation",
    "AnyBackbone",
    "AnyDecoder",
    "AnyExecutor",
    "AnyLoss",
    "AnyMaskMapper",
    "AnyMetric",
    "AnyOptimizer",
    "AnySchedule",
    "AnySource",
    "AnyTracker",
    "Augmentation",
    "Backbone",
    "BackboneModule",
    "BatchTransform",
    "ChangesNoNumber",
    "Classes",
    "Component",
    "DataError",
    "Decoder",
    "DecoderModule",
    "Desk",
    "Evidence",
    "Execute",
    "Executor",
    "ExecutorContext",
    "Exporter",
    "FileReader",
    "Floats",
    "GeometricTransform",
    "Geometry",
    "IGNORE",
    "Image",
    "ImageMetric",
    "ImagePair",
    "InitialWeights",
    "Job",
    "JobEnded",
    "JobPlacement",
    "Label",
    "LevelTransform",
    "Levels",
    "Loss",
    "Mapper",
    "Mask",
    "MaskEncoding",
    "MaskFacts",
    "MaskMapper",
    "MaskSurvey",
    "Metric",
    "MetricNeeds",
    "Optimizer",
    "PixelTransform",
    "Place",
    "Postprocess",
    "Postprocessor",
    "RareCentred",
    "Raw",
    "Reader",
    "Record",
    "RegistryError",
    "RelativePath",
    "RunError",
    "Schedule",
    "SegengineError",
    "Source",
    "SpecError",
    "Stored",
    "Tracker",
    "Transform",
    "ValueFound",
    "Volume",
    "WORKER",
    "Weights",
    "Work",
    "build_timm_backbone",
    "check_size",
    "check_timm_model",
    "check_weights",
    "load_backbone_weights",
    "missing_pixels",
    "suggest",
]
