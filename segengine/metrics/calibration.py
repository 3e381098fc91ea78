"""Whether probabilities mean what they say: the expected calibration error of an image's pixels."""

from __future__ import annotations

import numpy as np

from segengine.metrics.confusion import IGNORE
from segengine.metrics.pairs import Floats, ImagePair


def calibration_error(pair: ImagePair, bins: int) -> Floats:
    """Expected calibration error float64 [1] of the likeliest class (Guo et al. 2017), 0..1.

    The valid pixels are put into `bins` bins of equal width by the largest probability, (0, 1/bins] being the first; in each
    the mean of it is set against the share of right pixels, and the differences are averaged, weighted by pixels. NaN
    where all pixels are ignored.
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
