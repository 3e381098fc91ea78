"""The Lovasz-softmax loss: the convex extension of the Jaccard loss (Berman, Triki and Blaschko, 2018)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from segengine.nn.losses.target import valid_pixels


class LovaszSoftmax(nn.Module):
    """The mean over the classes that the truth has, counted `over` the batch, or over each image and then averaged.

    A class that the truth lacks, and an image without a valid pixel, doesn't count.
    """

    def __init__(self, num_classes: int, ignore_index: int, *, over: Literal["batch", "image"] = "batch") -> None:
        super().__init__()
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.over = over

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        valid = valid_pixels(target, self.num_classes, self.ignore_index)
        probabilities = logits.float().softmax(dim=1)
        if self.over == "batch":
            loss, present = self._region(probabilities.transpose(0, 1).flatten(1), target.flatten(), valid.flatten())
            return (loss * present).sum() / present.sum().clamp(min=1)
        losses = []
        for p, t, v in zip(probabilities, target, valid, strict=True):
            loss, present = self._region(p.flatten(1), t.flatten(), v.flatten())
            losses.append((loss * present).sum() / present.sum().clamp(min=1))
        return torch.stack(losses).sum() / valid.flatten(1).any(dim=1).sum().clamp(min=1)

    def _region(self, probabilities: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Per class [K]: the loss over the pixels [K, N], and whether the truth has the class."""
        classes = torch.arange(self.num_classes, device=target.device)[:, None]
        truth = (target[None] == classes) & valid
        # Ignored pixels get an error of 0: they sort last, where they add nothing, and no shape depends on data.
        errors = (truth.float() - probabilities).abs() * valid
        errors, order = errors.sort(dim=1, descending=True, stable=True)
        truth = truth.gather(1, order)
        true = truth.sum(dim=1, keepdim=True)
        # Whole numbers are summed exactly, and on a GPU in a fixed order.
        missed, wrong = true - truth.cumsum(1), (~truth).cumsum(1)
        union = true + wrong
        # The Jaccard loss 1 - missed / union rises from one pixel to the next by 1 / union at a true pixel, and by
        # missed / (union (union - 1)) at another; subtracting neighbours instead would cancel all but a few digits.
        other = missed / union.clamp(min=1) / (union - 1).clamp(min=1)
        steps = torch.where(truth, 1 / union.clamp(min=1), other)
        return (errors * steps).sum(dim=1), true[:, 0] > 0
