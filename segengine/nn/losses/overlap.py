"""Losses that are 1 - overlap of regions: Tversky, and its special cases Dice and Jaccard."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from segengine.nn.losses.target import valid_pixels

_SMALL = 1e-6  # of a pixel; keeps 0/0 away where alpha or beta is 0


class Overlap(nn.Module):
    """1 - Tversky index, tp / (tp + alpha fp + beta fn), over soft counts of valid pixels (Salehi et al., 2017).

    alpha = beta = 0.5 is Dice (Milletari et al., 2016), alpha = beta = 1 Jaccard. Probabilities are the softmax.
    The loss is the mean over classes, counted `over` the batch or over each image that has a valid pixel.

    A class that the truth lacks (in the batch, or the image) has no overlap to speak of. `absent="penalise"` takes
    its mean probability over the valid pixels instead: 0 where it isn't predicted, 1 where nothing else is, and,
    unlike an index smoothed by a constant, with the same gradient at each of these pixels. `absent="skip"` leaves it
    out of the mean.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int,
        *,
        alpha: float,
        beta: float,
        over: Literal["batch", "image"] = "batch",
        absent: Literal["penalise", "skip"] = "penalise",
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.alpha = alpha
        self.beta = beta
        self.over = over
        self.absent = absent

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        valid = valid_pixels(target, self.num_classes, self.ignore_index)
        classes = torch.arange(self.num_classes, device=target.device).view(1, -1, 1, 1)
        truth = (target[:, None] == classes) & valid[:, None]
        probabilities = logits.float().softmax(dim=1)
        space = (0, 2, 3) if self.over == "batch" else (2, 3)
        tp = (probabilities * truth).sum(space)
        predicted = (probabilities * valid[:, None]).sum(space)
        true, pixels = truth.sum(space), valid[:, None].sum(space)
        fp, fn = predicted - tp, true - tp
        index = (tp + _SMALL) / (tp + self.alpha * fp + self.beta * fn + _SMALL)
        loss = torch.where(true > 0, 1 - index, fp / pixels.clamp(min=1))
        counted = (true > 0) if self.absent == "skip" else (pixels > 0).expand_as(true)
        return (loss * counted).sum() / counted.sum().clamp(min=1)
