"""Skeletons of masks by thinning, and clDice, the Dice of centre lines, for vessels and other thin structures."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from segengine.metrics.pairs import Floats, ImagePair, Region, by_class

_AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""The neighbours P2 to P9 of the paper, clockwise from the top."""


def skeleton(mask: Region) -> Region:
    """The centre lines, one pixel wide, of a mask bool [h, w] whose border is False (Guo & Hall 1989, algorithm A1).

    Two alternating sub-iterations each mark contour pixels and remove them simultaneously, until nothing changes; topology
    is preserved. (Zhang & Suen's better-known thinning deletes a 2x2 square completely.)
    """
    pixels = mask.astype(np.uint8).ravel()
    offsets = np.array([row * mask.shape[1] + column for row, column in _AROUND])
    candidates = np.flatnonzero(pixels)
    listed = np.zeros(len(pixels), bool)
    full = np.uint8(255)
    candidates = candidates[_codes(pixels, candidates, offsets) != full]
    listed[candidates] = True
    idle = 0
    step = 0
    while idle < 2:
        removable = _removable()[step][_codes(pixels, candidates, offsets)]
        gone = candidates[removable]
        pixels[gone] = 0
        near = (gone[:, None] + offsets).ravel()
        near = np.unique(near[(pixels[near] == 1) & ~listed[near]])
        listed[near] = True
        candidates = np.concatenate([candidates[~removable], near])
        idle = 0 if gone.size else idle + 1
        step = 1 - step
    return pixels.reshape(mask.shape).astype(bool)


def _codes(pixels: NDArray[np.uint8], places: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The eight neighbours of each pixel as a bit mask."""
    codes = np.zeros(len(places), np.uint8)
    for bit, offset in enumerate(offsets.tolist()):
        codes |= pixels[places + offset] << np.uint8(bit)
    return codes


@cache
def _removable() -> NDArray[np.bool_]:
    """Whether a pixel with these neighbours is removed in the first and second sub-iteration: bool [2, 256]."""
    p2, p3, p4, p5, p6, p7, p8, p9 = ((np.arange(256) >> bit & 1).astype(bool) for bit in range(8))
    corners = [~p2 & (p3 | p4), ~p4 & (p5 | p6), ~p6 & (p7 | p8), ~p8 & (p9 | p2)]
    once = np.sum(corners, axis=0) == 1
    pairs = np.sum([p9 | p2, p3 | p4, p5 | p6, p7 | p8], axis=0), np.sum([p2 | p3, p4 | p5, p6 | p7, p8 | p9], axis=0)
    few = np.isin(np.minimum(*pairs), (2, 3))
    first, second = ~((p2 | p3 | ~p5) & p4), ~((p6 | p7 | ~p9) & p8)
    return np.stack([once & few & first, once & few & second])


def cl_dice(pair: ImagePair) -> Floats:
    """ClDice float64 [K] (Shit et al. 2021): harmonic mean of topology precision and sensitivity.

    Topology precision is the fraction of the prediction's skeleton inside the truth, sensitivity that of the truth's skeleton
    inside the prediction. 0 if the class is only in the truth or only in the prediction.
    """

    def value(pair: ImagePair, k: int) -> float:
        if pair.state(k) != "both":
            return 0.0
        truth, predicted = pair.masks(k)
        precision, sensitivity = _share(skeleton(predicted), truth), _share(skeleton(truth), predicted)
        both = precision + sensitivity
        return 2 * precision * sensitivity / both if both else 0.0

    return by_class(pair, value)


def _share(lines: Region, inside: Region) -> float:
    return float((lines & inside).sum() / lines.sum())
