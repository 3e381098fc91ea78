"""Boundary IoU: the IoU of the contour bands of truth and prediction."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import distance_transform_cdt

from segengine.metrics.pairs import Floats, ImagePair, Region, by_class


def boundary_iou(pair: ImagePair, ratio: float) -> Floats:
    """Boundary IoU float64 [K] (Cheng et al. 2021): bands of d pixels inside each contour, d a share of the diagonal.

    As in the authors' code d = max(1, round(ratio * diagonal)) pixels in Chebyshev distance (3x3 erosion), and the image
    border counts as a contour. 0 if only one of truth and prediction has the class.
    """
    pixels = max(1, round(ratio * math.hypot(*pair.truth.shape)))

    def value(pair: ImagePair, k: int) -> float:
        truth, predicted = (band(mask, pixels) for mask in pair.masks(k))
        return float((truth & predicted).sum() / (truth | predicted).sum())

    return by_class(pair, value)


def band(mask: Region, pixels: int) -> Region:
    """The pixels of a mask bool [h, w] within Chebyshev distance `pixels` of its outside; its border must be False."""
    return mask & (np.asarray(distance_transform_cdt(mask, metric="chessboard")) <= pixels)
