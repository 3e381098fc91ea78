"""Optimizer, schedule, scaler and moving average from an experiment's settings."""

from __future__ import annotations

from segengine.building.build import parameter_groups
from segengine.building.guarded import built_optimizer, built_schedule
from segengine.engine.checkpoint import Trainable
from segengine.engine.time_budget import TICKS, TimedSchedule
from segengine.engine.wrap_model import moving_average
from segengine.nn.segmenter import Segmenter
from segengine.training.context import RunContext


def build_trainable(context: RunContext, model: Segmenter, steps: int | None) -> Trainable:
    """The trainable for `steps` optimizer steps, or for a time budget if None."""
    training = context.request.experiment.training
    optimizer = built_optimizer(
        training.optimizer, parameter_groups(model, training), fused=context.world.device.type == "cuda"
    )
    schedule = built_schedule(training.schedule, optimizer, steps or TICKS)
    if steps is None:
        schedule = TimedSchedule(schedule)
    average = None
    if training.ema is not None:
        average = moving_average(model, training.ema)
    return Trainable(model, optimizer, schedule, context.precision.scaler(), average)
