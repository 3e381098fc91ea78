"""Scalar values of events for trackers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from segengine.events import EpochScored, RunEnded, StepDone
from segengine.metrics.names import LABELS, OVERLAPS


def numbers(event: Any, every: int) -> tuple[int | None, dict[str, float]]:
    """The step, and values by name of an event; the step is None at the end of the run.

    StepDone yields values at the first and each `every`-th step; undefined scores are omitted.
    """
    match event:
        case StepDone() if event.step % every == 0 or event.step == 1:
            values = {"train/loss": event.loss, "train/learning_rate": event.learning_rate}
            if math.isfinite(event.gradient_norm):
                values["train/gradient_norm"] = event.gradient_norm
            return event.step, values
        case EpochScored():
            row = event.row
            epoch = {"train/epoch_loss": row["train_loss"], "train/images_per_second": row["images_per_second"]}
            return row["step"], epoch | _scores("validation", row.get("validation"))
        case RunEnded():
            return None, _scores(event.split, event.row)
    return None, {}


def _scores(split: str, scores: Mapping[str, Any] | None) -> dict[str, float]:
    if scores is None:
        return {}
    found = {f"{split}/mean_{name}": scores["mean"][name] for name in LABELS}
    for label, values in scores["classes"].items():
        found |= {f"{split}/{name}/{label}": values[name] for name in OVERLAPS}
    return {name: float(value) for name, value in found.items() if value is not None}
