"""Losses that are means over valid pixels: cross-entropy and focal; and class weights from frequencies."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segengine.nn.losses.target import mean_over, valid_pixels


def median_frequency_weights(class_pixels: Sequence[int]) -> tuple[float, ...]:
    """Median frequency / frequency of each class (Eigen and Fergus, 2015), 1 for a class without a pixel.

    Frequencies are over all training pixels, not, as in the paper, over the images in which a class occurs.
    """
    present = [pixels for pixels in class_pixels if pixels > 0]
    if not present:
        return (1.0,) * len(class_pixels)
    median = statistics.median(present)
    return tuple(median / pixels if pixels > 0 else 1.0 for pixels in class_pixels)


class CrossEntropy(nn.Module):
    """Cross-entropy: the sum over valid pixels, each weighted by its class, divided by the number of valid pixels.

    torch divides by the sum of the weights instead, which makes the loss of two batches joined differ from the mean
    of both over their pixels; here accumulation over steps and processes is exact.
    """

    weight: Tensor | None

    def __init__(
        self,
        num_classes: int,
        ignore_index: int,
        *,
        weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", None if weights is None else torch.tensor(weights, dtype=torch.float32))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        valid = valid_pixels(target, self.num_classes, self.ignore_index)
        # reduction="none" is deterministic on a GPU, torch's own mean isn't.
        pixels = F.cross_entropy(
            logits.float(),
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        return mean_over(pixels, valid)


class Focal(nn.Module):
    """Focal loss (Lin et al., 2017): cross-entropy of each pixel times (1 - p)^gamma, p of the true class."""

    weight: Tensor | None

    def __init__(
        self, num_classes: int, ignore_index: int, *, gamma: float, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.gamma = gamma
        self.register_buffer("weight", None if weights is None else torch.tensor(weights, dtype=torch.float32))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        valid = valid_pixels(target, self.num_classes, self.ignore_index)
        entropy = F.cross_entropy(logits.float(), target, ignore_index=self.ignore_index, reduction="none")
        # expm1 keeps small 1 - p exact; the floor keeps the gradient finite for gamma below 1.
        pixels = (-torch.expm1(-entropy)).clamp(min=1e-7) ** self.gamma * entropy
        if self.weight is not None:
            pixels = pixels * self.weight[target.masked_fill(~valid, 0)]
        return mean_over(pixels, valid)
