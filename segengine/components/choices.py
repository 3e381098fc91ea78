"""Field types for specs and nested components: any installed component of a kind."""

from __future__ import annotations

from typing import Annotated

from segengine.components.base import (
    Augmentation,
    Backbone,
    Decoder,
    Executor,
    Loss,
    MaskMapper,
    Metric,
    Optimizer,
    Schedule,
    Source,
    Tracker,
)
from segengine.components.lookup import Choice

AnyBackbone = Annotated[Backbone, Choice(Backbone)]
AnyDecoder = Annotated[Decoder, Choice(Decoder)]
AnyLoss = Annotated[Loss, Choice(Loss)]
AnyMaskMapper = Annotated[MaskMapper, Choice(MaskMapper)]
AnyMetric = Annotated[Metric, Choice(Metric)]
AnyAugmentation = Annotated[Augmentation, Choice(Augmentation)]
AnySource = Annotated[Source, Choice(Source)]
AnyOptimizer = Annotated[Optimizer, Choice(Optimizer)]
AnySchedule = Annotated[Schedule, Choice(Schedule)]
AnyExecutor = Annotated[Executor, Choice(Executor)]
AnyTracker = Annotated[Tracker, Choice(Tracker)]
