"""A weighted sum of losses."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class WeightedSum(nn.Module):
    """Each loss times its weight, summed."""

    def __init__(self, losses: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.weights = tuple(weights)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        terms = [w * loss(logits, target) for w, loss in zip(self.weights, self.losses, strict=True)]
        total: Tensor = sum(terms[1:], start=terms[0])
        return total
