"""Check of the first value of a plugin's loss, with its name in errors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segengine.errors import RunError, SegengineError, unexpected


class CheckedLoss(nn.Module):
    """Calls `loss`; raises RunError with `what` if it raises, or its first value isn't a floating point scalar with a gradient."""

    def __init__(self, loss: nn.Module, what: str) -> None:
        super().__init__()
        self.loss = loss
        self.what = what
        self.checked = False

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """As of the loss: logits float32 [B, K, H, W], target int64 [B, H, W] -> scalar."""
        try:
            value: Tensor = self.loss(logits, target)
        except SegengineError:
            raise
        except Exception as error:
            if isinstance(error, torch.OutOfMemoryError | MemoryError) or "alloc" in str(error).lower():
                raise
            raise RunError(f"{self.what}: forward() raises {unexpected(error)}") from error
        if not self.checked:
            self._check(value, logits)
            self.checked = True
        return value

    def _check(self, value: object, logits: Tensor) -> None:
        if not isinstance(value, Tensor):
            problem = f"returns {type(value).__name__}"
        elif value.ndim or not value.is_floating_point():
            problem = f"returns a tensor of shape {list(value.shape)}, {value.dtype}"
        elif logits.requires_grad and not value.requires_grad:
            raise RunError(f"{self.what}: the loss has no gradient; don't detach the logits")
        else:
            return
        raise RunError(f"{self.what}: {problem}; return a floating point scalar, the mean over valid pixels or classes")
