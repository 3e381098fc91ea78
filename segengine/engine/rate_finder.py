"""Learning-rate range test (Smith, 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from segengine.data.batches.batch import Batch
from segengine.engine.precision import Precision

_SMOOTH, _BROKEN = 0.95, 4.0


@dataclass(frozen=True)
class Tried:
    """One step of the test: learning rate, loss, and the bias-corrected exponential moving average of the loss."""

    rate: float
    loss: float
    smooth: float


@dataclass(frozen=True)
class RateTest:
    """A range test; modifies the model and the optimizer."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: nn.Module
    precision: Precision
    device: torch.device

    def run(
        self, batches: Iterator[Batch], rates: Sequence[float], *, seen: Callable[[int], None] = lambda _: None
    ) -> list[Tried]:
        """One step at each of the ascending `rates`, until the smoothed loss is four times its lowest or not finite.

        Parameter groups keep the ratios of their rates; the first group gets `rates`. `seen` is called with the number of steps done.
        """
        self.model.train()
        peak = self.optimizer.param_groups[0]["lr"]
        ratios = [group["lr"] / peak for group in self.optimizer.param_groups]
        tried: list[Tried] = []
        mean, lowest = 0.0, math.inf
        for number, (rate, batch) in enumerate(zip(rates, batches, strict=False), 1):
            for group, ratio in zip(self.optimizer.param_groups, ratios, strict=True):
                group["lr"] = rate * ratio
            value = self._step(batch.to(self.device))
            if not math.isfinite(value):
                break
            mean = _SMOOTH * mean + (1 - _SMOOTH) * value
            smooth = mean / (1 - _SMOOTH**number)
            tried.append(Tried(rate, value, smooth))
            lowest = min(lowest, smooth)
            seen(number)
            if smooth > _BROKEN * lowest:
                break
        return tried

    def _step(self, batch: Batch) -> float:
        with self.precision.autocast():
            logits = self.model(batch.images.contiguous(memory_format=torch.channels_last))
        value = self.loss(logits.float(), batch.masks.long())
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        self.optimizer.step()
        return float(value.detach())


def suggested(tried: Sequence[Tried]) -> float | None:
    """The rate with the steepest decrease of the smoothed loss over log(rate); None if it never decreases.

    Slopes span a tenth of the tested range and end at the lowest loss.
    """
    if len(tried) < 3:
        return None
    lowest = min(range(len(tried)), key=lambda i: tried[i].smooth)
    width = max(1, len(tried) // 20)
    slopes = {
        i: (tried[i + width].smooth - tried[i - width].smooth)
        / math.log(tried[i + width].rate / tried[i - width].rate)
        for i in range(width, min(lowest + 1, len(tried) - width))
    }  # fmt: skip
    steepest = min(slopes, key=lambda i: slopes[i], default=None)
    return tried[steepest].rate if steepest is not None and slopes[steepest] < 0 else None


def rates_between(first: float, last: float, steps: int) -> list[float]:
    """`steps` rates from `first` to `last`, evenly spaced on a log scale."""
    return [first * (last / first) ** (i / (steps - 1)) for i in range(steps)]
