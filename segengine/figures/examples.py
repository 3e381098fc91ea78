"""The images that a report shows: predictions with their truth, and what augmentation made of an image."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.figures.numbers import finite
from segengine.metrics.confusion import IGNORE


@dataclass(frozen=True)
class Example:
    """One predicted image: uint8 [H, W, C], its classes uint8 [H, W] (255 = ignore), its score 0..1 or None.

    `rank` says why it is shown ("best", "median", "worst", or anything else, or nothing).
    """

    id: str
    score: float | None
    image: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    rank: str = ""


@dataclass(frozen=True)
class Augmented:
    """An image and its classes, and what the augmentations made of both: uint8 [H, W, C] and uint8 [H, W]."""

    id: str
    image: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    augmented_image: NDArray[np.uint8]
    augmented_classes: NDArray[np.uint8]

    @property
    def ignored_share(self) -> float:
        """The share of the augmented pixels that count for nothing, 0..1."""
        return float((self.augmented_classes == IGNORE).mean())


def best_median_worst(scores: Mapping[str, float | None]) -> dict[str, str]:
    """Which images to show: their ids by rank, "best", "median" and "worst" of the images that have a score.

    The median is the image in the middle, the lower of two. Equal scores are ordered by id; with fewer than three
    images the ranks that would repeat an image are left out.
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
