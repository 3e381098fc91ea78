"""The only surface that plugin authors rely on: what `__all__` names keeps working within plugin API v1.

No torch at import; what needs it imports it when called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from segengine.components.backbones import Weights, check_weights
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
    Optimizer,
    Schedule,
    Source,
    Tracker,
)
from segengine.components.choices import (
    AnyAugmentation,
    AnyBackbone,
    AnyDecoder,
    AnyLoss,
    AnyMaskMapper,
    AnyMetric,
    AnyOptimizer,
    AnySchedule,
    AnySource,
    AnyTracker,
)
from segengine.components.jobs import WORKER, Desk, Job, JobEnded, Place
from segengine.data.augment.transforms import (
    BatchTransform,
    GeometricTransform,
    Geometry,
    Levels,
    LevelTransform,
    PixelTransform,
    Transform,
)
from segengine.data.masks.mapping import IGNORE, Label, Mapper, MaskEncoding, MaskSurvey
from segengine.data.sources.records import Record
from segengine.errors import DataError, RegistryError, RunError, SegengineError, SpecError
from segengine.metrics.pairs import ImageMetric, ImagePair
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
        SpecError: unknown model, an output stride that it can't give, or a file that doesn't fit.
        RunError: the pretrained weights can't be fetched.
    """
    from segengine.nn.timm_backbone import build_timm

    return build_timm(model, in_channels=in_channels, output_stride=output_stride, weights=weights)


def check_timm_model(model: str) -> None:
    """Check that the installed timm has `model`, for a component's `preflight`.

    Raises:
        SpecError: it hasn't, with the nearest name.
    """
    from segengine.nn import timm_backbone

    timm_backbone.check_timm_model(model)


def load_backbone_weights(
    backbone: nn.Module, path: str | Path, *, in_channels: int, whole_model: Callable[[], Collection[str]] = tuple
) -> None:
    """Copy a .safetensors or .pth file into a backbone; its first convolution is adapted to `in_channels`.

    A classifier's tensors may be left over; `whole_model` gives the keys of the network that the backbone was cut from.

    Raises:
        SpecError: no such file, not plain tensors, or not every tensor of the backbone found in its shape.
    """
    from segengine.nn.weights import load_backbone, read_weights

    state = read_weights(Path(path))
    load_backbone(backbone, state, in_channels=in_channels, source=str(path), whole_model=whole_model)


__all__ = [
    "AnyAugmentation",
    "AnyBackbone",
    "AnyDecoder",
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
    "Component",
    "DataError",
    "Decoder",
    "DecoderModule",
    "Desk",
    "Executor",
    "Exporter",
    "GeometricTransform",
    "Geometry",
    "IGNORE",
    "ImageMetric",
    "ImagePair",
    "Job",
    "JobEnded",
    "Label",
    "LevelTransform",
    "Levels",
    "Loss",
    "Mapper",
    "MaskEncoding",
    "MaskMapper",
    "MaskSurvey",
    "Metric",
    "Optimizer",
    "PixelTransform",
    "Place",
    "Record",
    "RegistryError",
    "RunError",
    "Schedule",
    "SegengineError",
    "Source",
    "SpecError",
    "Tracker",
    "Transform",
    "WORKER",
    "Weights",
    "build_timm_backbone",
    "check_timm_model",
    "check_weights",
    "load_backbone_weights",
    "suggest",
]
