"""How a loss that isn't finite stops the optimizer on the device itself, before the host has heard of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from segengine.engine.checkpoint import Trainable


@dataclass
class Guard:
    """Once a loss wasn't finite no step changes a weight; `tripped` is float32 on the device, 0 until then."""

    tripped: Tensor | None = None

    def remember(self, not_finite: Tensor) -> None:
        """Trip where any of `not_finite` isn't 0."""
        now = (not_finite > 0).any().float()
        self.tripped = now if self.tripped is None else torch.maximum(self.tripped, now)

    def spoilt(self, loss: Tensor) -> Tensor:
        """The loss, but NaN once tripped: a gradient scaler then skips the step itself."""
        return loss if self.tripped is None else torch.where(self.tripped > 0, torch.nan, loss)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """A step of the optimizer, which its fused kernel skips once tripped, as it does for torch's GradScaler."""
        if self.tripped is None:
            optimizer.step()
            return
        optimizer.found_inf, optimizer.grad_scale = self.tripped, None  # type: ignore[attr-defined]
        try:
            optimizer.step()
        finally:
            del optimizer.found_inf, optimizer.grad_scale  # type: ignore[attr-defined]


def steps_ahead(trainable: Trainable, device: torch.device) -> int:
    """How many steps may be given to the device before the numbers of the first are read: 1 on a GPU.

    0 where the optimizer can't skip a step by itself, and on a CPU, which waits for itself anyway.
    """
    return int(device.type == "cuda" and bool(getattr(trainable.optimizer, "_step_supports_amp_scaling", False)))


def on_its_way(numbers: Tensor) -> Callable[[], list[float]]:
    """Starts the copy of a device tensor to the host; what is returned waits for it and gives its numbers."""
    if numbers.device.type != "cuda":
        return numbers.tolist
    host = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
    host.copy_(numbers, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record()

    def arrived() -> list[float]:
        copied.synchronize()
        return list(host.tolist())

    return arrived
