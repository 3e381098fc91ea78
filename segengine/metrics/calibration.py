"""Expected calibration error of an image's pixels."""

from __future__ import annotations

import numpy as np

from segengine.metrics.confusion import IGNORE
from segengine.metrics.pairs import Floats, ImagePair


def calibration_error(pair: ImagePair, bins: int) -> Floats:
    """Expected calibration error float64 [1] of the likeliest class (Guo et al. 2017), 0..1.

    Valid pixels are binned by the largest probability into `bins` bins of equal width, the first being (0, 1/bins]. The
    error is the mean of |mean probability - accuracy| over bins, weighted by pixels. NaN if all pixels are ignored.
    """
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    pixels, right, sure = np.zeros(bins), np.zeros(bins), np.zeros(bins)
    for truth, probabilities in pair.bands():
        valid = truth != IGNORE
        confidence = probabilities.max(axis=0)[valid].astype(np.float64)
        correct = probabilities.argmax(axis=0)[valid] == truth[valid]
        place = np.searchsorted(edges, confidence, side="left")
        pixels += np.bincount(place, minlength=bins)
        right += np.bincount(place, weights=correct, minlength=bins)
        sure += np.bincount(place, weights=confidence, minlength=bins)
    total = pixels.sum()
    return np.array([np.abs(right - sure).sum() / total if total else np.nan])
