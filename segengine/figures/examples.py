"""The images of a report: predictions with ground truth, and images before and after augmentation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.figures.numbers import finite
from segengine.metrics.confusion import IGNORE


@dataclass(frozen=True)
class Example:
    """One image with its prediction.

    Attributes:
        score: 0..1, None where undefined.
        image: uint8 [H, W, C].
        prediction: uint8 [H, W], 0..K-1.
        truth: uint8 [H, W], 0..K-1, 255 = ignore.
        rank: reason why the image is shown, such as "best", "median" or "worst"; may be empty.
    """

    id: str
    score: float | None
    image: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    rank: str = ""


@dataclass(frozen=True)
class Augmented:
    """An image and its mask before and after augmentation: uint8 [H, W, C] and uint8 [H, W], 0..K-1, 255 = ignore."""

    id: str
    image: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    augmented_image: NDArray[np.uint8]
    augmented_classes: NDArray[np.uint8]

    @property
    def ignored_share(self) -> float:
        """Fraction of ignored pixels after augmentation, 0..1."""
        return float((self.augmented_classes == IGNORE).mean())


def best_median_worst(scores: Mapping[str, float | None]) -> dict[str, str]:
    """Select the images to show: rank ("best", "median", "worst") -> image id, among the images with a score.

    For an even number of images the median is the lower of the two middle ones. Equal scores are ordered by id; with fewer than
    three images, ranks that would repeat an image are omitted.
    """
    known = {name: value for name, value in ((n, finite(v)) for n, v in scores.items()) if value is not None}
    ranked = sorted(known, key=lambda name: (known[name], name))
    if not ranked:
        return {}
    chosen = {"best": ranked[-1], "median": ranked[(len(ranked) - 1) // 2], "worst": ranked[0]}
    shown: dict[str, str] = {}
    for rank in ("best", "worst", "median"):
        if chosen[rank] not in shown.values():
            shown[rank] = chosen[rank]
    return {rank: shown[rank] for rank in chosen if rank in shown}
