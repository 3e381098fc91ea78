"""Test-time augmentation: probabilities averaged over transformed images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from segengine.inference.exported import Exported
    from segengine.inference.load import Trained

_MIRRORED_AXES = ((0,), (1,), (0, 1))


def probabilities(trained: Trained | Exported, image: NDArray[np.uint8], *, flips: bool) -> NDArray[np.float32]:
    """Class probabilities float32 [K, H, W] of an image uint8 [H, W, C]; with `flips`, the mean with its three mirror images."""
    mean = trained.probabilities(image)
    if not flips:
        return mean
    for axes in _MIRRORED_AXES:
        mirrored = trained.probabilities(np.ascontiguousarray(np.flip(image, axes)))
        mean = mean + np.flip(mirrored, tuple(axis + 1 for axis in axes))
    return np.asarray(mean / 4, dtype=np.float32)


def classes(trained: Trained | Exported, image: NDArray[np.uint8], *, flips: bool) -> NDArray[np.uint8]:
    """Class indices uint8 [H, W] of an image uint8 [H, W, C]."""
    if not flips:
        return trained.classes(image)
    return np.asarray(probabilities(trained, image, flips=True).argmax(0).astype(np.uint8))
