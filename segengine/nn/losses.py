"""Losses: logits float32 [B, K, H, W], target int64 [B, H, W] -> scalar, with support for ignored pixels and absent classes.

Cross-entropy, focal, hard-pixel mining (OHEM), Tversky (Dice, Jaccard), Lovasz-softmax, boundary, weighted sums. A batch without
valid pixels gives loss 0 and gradients 0.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def valid_pixels(target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Mask of valid pixels, bool [B, H, W]: True where the target is a class.

    The range is asserted on the CPU only: on a GPU the check would synchronise, and mappers guarantee it.
    """
    valid = target != ignore_index
    if target.device.type == "cpu" and target.numel():
        wrong = valid & ((target < 0) | (target >= num_classes))
        assert not bool(wrong.any()), (
            f"target has values outside 0..{num_classes - 1}: {sorted(set(target[wrong].tolist()))}"
        )
    return valid


def mean_over(values: Tensor, valid: Tensor) -> Tensor:
    """The sum of `values` (0 where not valid) divided by the number of valid pixels; 0 without valid pixels."""
    return values.sum() / valid.sum().clamp(min=1)


def median_frequency_weights(class_pixels: Sequence[int]) -> tuple[float, ...]:
    """Median frequency / frequency of each class (Eigen and Fergus, 2015), 1 for a class without a pixel.

    Unlike in the paper, frequencies are over all training pixels, not only over the images in which a class occurs.
    """
    present = [pixels for pixels in class_pixels if pixels > 0]
    if not present:
        return (1.0,) * len(class_pixels)
    median = statistics.median(present)
    return tuple(median / pixels if pixels > 0 else 1.0 for pixels in class_pixels)


class CrossEntropy(nn.Module):
    """Cross-entropy: the sum over valid pixels, each weighted by its class, divided by the number of valid pixels.

    torch divides by the sum of the weights instead, so that the loss of two concatenated batches differs from their
    pixel-weighted mean; this normalisation makes accumulation over steps and processes exact.
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
            logits.float(), target, weight=self.weight, ignore_index=self.ignore_index, reduction="none",
            label_smoothing=self.label_smoothing,
        )  # fmt: skip
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


class HardPixels(nn.Module):
    """The mean cross-entropy of the hard pixels of a batch (Shrivastava et al., 2016, for pixels instead of boxes).

    Hard pixels are the valid pixels whose true class has a probability below `threshold` (0..1), and at least the hardest
    ceil(`least` * valid) including ties. Class weights scale the loss of a pixel but don't affect the selection. Shapes are
    independent of the data, and there is no GPU synchronisation.
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


_SMALL = 1e-6  # in pixels; avoids 0/0 if alpha or beta is 0


class Tversky(nn.Module):
    """1 - Tversky index, tp / (tp + alpha fp + beta fn), over soft counts of valid pixels (Salehi et al., 2017).

    alpha = beta = 0.5 is Dice (Milletari et al., 2016), alpha = beta = 1 Jaccard. Probabilities are the softmax.
    The loss is the mean over classes, counted `over` the batch or over each image that has a valid pixel.

    The index is undefined for a class absent from the truth (of the batch, or the image). `absent="penalise"` uses the
    class's mean probability over the valid pixels as its loss: 0 if it isn't predicted, 1 if it is predicted everywhere,
    with equal gradients at all pixels, unlike an index smoothed by a constant. `absent="skip"` excludes it from the mean.
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


class LovaszSoftmax(nn.Module):
    """Lovasz-softmax (Berman, Triki and Blaschko, 2018), the convex extension of the Jaccard loss.

    The mean over the classes present in the truth, computed `over` the batch, or over each image and then averaged.

    Absent classes and images without valid pixels are excluded.
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
        # Ignored pixels have error 0: they are sorted last and contribute nothing, and shapes do not depend on the data.
        errors = (truth.float() - probabilities).abs() * valid
        errors, order = errors.sort(dim=1, descending=True, stable=True)
        truth = truth.gather(1, order)
        true = truth.sum(dim=1, keepdim=True)
        # Integer sums are exact, and deterministic on a GPU.
        missed, wrong = true - truth.cumsum(1), (~truth).cumsum(1)
        union = true + wrong
        # The Jaccard loss 1 - missed / union increases by 1 / union at a true pixel and by missed / (union (union - 1)) at
        # another; differences of consecutive values would suffer from cancellation.
        other = missed / union.clamp(min=1) / (union - 1).clamp(min=1)
        steps = torch.where(truth, 1 / union.clamp(min=1), other)
        return (errors * steps).sum(dim=1), true[:, 0] > 0


class Boundary(nn.Module):
    """The mean over valid pixels and classes of a class's probability times its signed distance, in pixels.

    The distance is Euclidean, between pixel centres: outside of the class to its nearest pixel, inside 1 less than to
    the nearest valid pixel of another class, and negative. Ignored pixels are excluded. A class that is absent
    from an image, or covers all its valid pixels, has no boundary: its distances are 0, as in the paper's code. The maps are
    computed on the CPU.
    """

    def __init__(self, num_classes: int, ignore_index: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        valid = valid_pixels(target, self.num_classes, self.ignore_index)
        truth = target.cpu().numpy()
        maps = np.stack([signed_distances(image, self.num_classes, self.ignore_index) for image in truth])
        distances = torch.from_numpy(maps).to(logits.device)
        costs = logits.float().softmax(dim=1) * distances
        return costs.sum() / (valid.sum() * self.num_classes).clamp(min=1)


def signed_distances(target: npt.NDArray[np.int64], num_classes: int, ignore_index: int) -> npt.NDArray[np.float32]:
    """Each class's map of signed distances in pixels, float32 [K, H, W], of a target int64 [H, W]; 0 where ignored."""
    maps = np.zeros((num_classes, *target.shape), np.float32)
    ignored = target == ignore_index
    for index in np.unique(target[~ignored]).tolist():
        inside = target == index
        other = ~(inside | ignored)
        if other.any():
            maps[index] = _distance_to(inside) - np.maximum(_distance_to(other) - 1, 0) * inside
    maps[:, ignored] = 0
    return maps


def _distance_to(pixels: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The Euclidean distance from each pixel to the nearest of `pixels`, which must not be empty."""
    found = cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(found, np.float32)


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
