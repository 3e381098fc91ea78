"""Built-in learning-rate schedules, each with a warm-up."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator

from segengine.components.base import Schedule


class _Warm(Schedule):
    """A schedule with linear warm-up over the first fraction of the steps, followed by its own shape."""

    warmup: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="fraction of all steps with linear warm-up to the peak (Goyal et al., 2017)",
    )

    def factor(self, step: int, total_steps: int) -> float:
        warm_steps = round(self.warmup * total_steps)
        if step < warm_steps:
            return (step + 1) / (warm_steps + 1)
        return self.shape(min(1.0, (step - warm_steps) / max(1, total_steps - warm_steps)))

    def shape(self, progress: float) -> float:
        """The factor at `progress` (0..1) of the steps after the warm-up."""
        raise NotImplementedError(type(self).__name__)


class Cosine(_Warm):
    """Half a cosine from the peak to `final` (Loshchilov & Hutter, 2017)."""

    name: Literal["cosine"] = "cosine"
    final: float = Field(default=0.0, ge=0, le=1, description="final learning rate as a fraction of the peak")

    def shape(self, progress: float) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


class Poly(_Warm):
    """(1 - progress) ** power, the segmentation community's usual decay (Chen et al., DeepLab, 2017)."""

    name: Literal["poly"] = "poly"
    power: float = Field(default=0.9, gt=0, le=100, description="exponent of the decay; 1 is a straight line")

    def shape(self, progress: float) -> float:
        return float((1 - progress) ** self.power)


class StepDecay(_Warm):
    """Multiplies the rate by `gamma` at each milestone."""

    name: Literal["step"] = "step"
    milestones: Annotated[tuple[float, ...], Field(min_length=1)] = Field(
        default=(0.6, 0.85),
        description="fractions of training, above 0 and below 1, ascending, at which the rate drops: [0.3, 0.8] is after 30 and "
        "80 of 100 epochs",
    )
    gamma: float = Field(default=0.1, gt=0, le=1, description="factor at each milestone")

    @field_validator("milestones")
    @classmethod
    def _shares(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        """Raises ValueError for epochs or steps instead of fractions, and suggests fractions."""
        largest = max(milestones)
        if largest >= 1 and min(milestones) > 0 and math.isfinite(largest):
            whole = 10 ** (math.floor(math.log10(largest)) + 1)
            likely = ", ".join(f"{milestone / whole:g}" for milestone in milestones)
            raise ValueError(f"milestones are fractions of training, above 0 and below 1; [{likely}]?")
        if not 0 < min(milestones) <= largest < 1 or list(milestones) != sorted(set(milestones)):
            raise ValueError("milestones are fractions of training, above 0 and below 1, in ascending order")
        return milestones

    def shape(self, progress: float) -> float:
        return float(self.gamma ** sum(progress >= milestone for milestone in self.milestones))


class Constant(_Warm):
    """The peak rate throughout."""

    name: Literal["constant"] = "constant"

    def shape(self, progress: float) -> float:  # noqa: ARG002
        return 1.0


class OneCycle(_Warm):
    """Rises from a low rate to the peak and falls below the start, half a cosine each (Smith & Topin, 2019).

    Changes only the learning rate; the paper also cycles momentum inversely, and its ramps are linear.
    """

    name: Literal["one-cycle"] = "one-cycle"
    warmup: float = Field(
        default=0.3, ge=0, lt=1, description="fraction of all steps in which the rate rises to its peak"
    )
    start: float = Field(default=0.04, ge=0, lt=1, description="initial learning rate as a fraction of the peak")
    final: float = Field(default=4e-6, ge=0, le=1, description="final learning rate as a fraction of the peak")

    def factor(self, step: int, total_steps: int) -> float:
        warm_steps = round(self.warmup * total_steps)
        if step < warm_steps:
            return self.start + (1 - self.start) * 0.5 * (1 - math.cos(math.pi * step / warm_steps))
        return super().factor(step, total_steps)

    def shape(self, progress: float) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))
