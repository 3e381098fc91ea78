"""Online hard example mining: cross-entropy of the pixels that the network finds hard."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segengine.nn.losses.target import mean_over, valid_pixels


class HardPixels(nn.Module):
    """The mean cross-entropy of the hard pixels of a batch (Shrivastava et al., 2016, for pixels instead of boxes).

    Hard are the valid pixels whose true class has a probability below `threshold` (0..1), and the hardest
    ceil(`least` * valid) in any case, with all that are as hard as the last of these. Class weights scale the loss of
    a pixel and have no say in whether it is hard. No shape depends on data, and nothing waits for a GPU.
    """

    weight: Tensor | None

    def __init__(
        self,
        num_classes: int,
        ignore_index: int,
        *,
        threshold: float,
        least: float,
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.least = least
        self.easy = -math.log(threshold) if threshold > 0 else math.inf
        self.register_buffer("weight", None if weights is None else torch.tensor(weights, dtype=torch.float32))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        valid = valid_pixels(target, self.num_classes, self.ignore_index)
        pixels = F.cross_entropy(logits.float(), target, ignore_index=self.ignore_index, reduction="none")
        found = pixels.detach()
        hard = valid & ((found > self.easy) | (found >= self._least_of_the_hardest(found, valid)))
        if self.weight is not None:
            pixels = pixels * self.weight[target.masked_fill(~valid, 0)]
        return mean_over(pixels * hard, hard)

    def _least_of_the_hardest(self, found: Tensor, valid: Tensor) -> Tensor:
        """The cross-entropy of the last of the `least` hardest valid pixels, a scalar."""
        ordered = found.masked_fill(~valid, -1.0).flatten().sort(descending=True).values
        number = torch.ceil(self.least * valid.sum()).long()
        return ordered.gather(0, (number - 1).clamp(min=0).view(1))[0]
