"""The boundary loss: probabilities weighted by the distance to the true outline (Kervadec et al., 2019)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from segengine.nn.losses.target import valid_pixels


class Boundary(nn.Module):
    """The mean over valid pixels and classes of a class's probability times its signed distance, in pixels.

    The distance is Euclidean, between pixel centres: outside of the class to its nearest pixel, inside 1 less than to
    the nearest valid pixel of another class, and negative. An ignored pixel belongs to no side and adds nothing. A class
    that an image lacks, or that has all of its valid pixels, has no outline there: its distances are 0, as in the
    paper's code. The maps are computed on the CPU.
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
    """The Euclidean distance from each pixel to the nearest of `pixels`, of which there must be one."""
    found = cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(found, np.float32)
