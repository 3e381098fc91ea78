"""Distances between the surfaces of truth and prediction: Hausdorff percentiles, ASSD, normalised surface distance.

Convention (MetricsReloaded, MONAI and medpy): the surface of a class consists of its pixels with at least one of four neighbours
outside; distances are between pixel centres, and each surface pixel counts once. (DeepMind's surface-distance uses surface
elements between pixels, weighted by length; its values differ by tenths of a pixel for smooth objects.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from segengine.metrics.pairs import Floats, ImagePair, Region, by_class

_TREE_PAYS = 16  # a k-d tree is faster if the surface covers less than 1 / 16 of the area
_ROUNDING = 1e-9  # 3 pixels of 0.1 mm are within 0.3 mm


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances from each surface pixel to the nearest pixel of the other surface, in the spacing's unit."""

    from_truth: Floats
    from_predicted: Floats


def surface(mask: Region) -> Region:
    """Pixels of a mask bool [h, w] with one of four neighbours outside of it; its outermost rows and columns are False."""
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    return mask & ~inner


def surface_distances(pair: ImagePair, k: int) -> SurfaceDistances:
    """The distances between the surfaces of class k, which must be in truth and prediction; computed once per image."""
    return pair.once(("surface distances", k), lambda: _distances(*pair.masks(k), pair.spacing))


def _distances(truth: Region, predicted: Region, spacing: tuple[float, float]) -> SurfaceDistances:
    truth_surface, predicted_surface = surface(truth), surface(predicted)
    if _TREE_PAYS * max(truth_surface.sum(), predicted_surface.sum()) > truth_surface.size:
        return SurfaceDistances(
            _over_area(predicted_surface, spacing)[truth_surface], _over_area(truth_surface, spacing)[predicted_surface]
        )
    return SurfaceDistances(
        _to_nearest(truth_surface, predicted_surface, spacing), _to_nearest(predicted_surface, truth_surface, spacing)
    )


def _over_area(target: Region, spacing: tuple[float, float]) -> Floats:
    return np.asarray(distance_transform_edt(~target, sampling=spacing))


def _to_nearest(start: Region, target: Region, spacing: tuple[float, float]) -> Floats:
    """Distances by a k-d tree; equal to a distance transform, which is ten times slower for thin surfaces."""
    scale = np.asarray(spacing)
    starts, targets = np.argwhere(start), np.argwhere(target)
    nearest = cKDTree(targets * scale, balanced_tree=False, compact_nodes=False).query(starts * scale)[1]
    return np.asarray(np.sqrt((((starts - targets[nearest]) * scale) ** 2).sum(axis=1)))


def hausdorff(pair: ImagePair, percentile: float) -> Floats:
    """The larger of both directions' percentiles of surface distance, float64 [K]; 100 is the Hausdorff distance.

    Percentiles interpolate linearly between the two nearest distances. NaN if the class is absent from truth or prediction.
    (Huttenlocher et al. 1993; Maier-Hein, Reinke et al., Metrics Reloaded, 2024.)
    """

    def value(pair: ImagePair, k: int) -> float:
        if pair.state(k) != "both":
            return np.nan
        found = surface_distances(pair, k)
        return float(max(np.percentile(found.from_truth, percentile), np.percentile(found.from_predicted, percentile)))

    return by_class(pair, value)


def assd(pair: ImagePair) -> Floats:
    """Average symmetric surface distance, float64 [K]: the mean of all distances of both surfaces' pixels.

    NaN if the class is absent from truth or prediction. (Yeghiazaryan & Voiculescu 2018.)
    """

    def value(pair: ImagePair, k: int) -> float:
        if pair.state(k) != "both":
            return np.nan
        found = surface_distances(pair, k)
        return float(
            (found.from_truth.sum() + found.from_predicted.sum()) / (len(found.from_truth) + len(found.from_predicted))
        )

    return by_class(pair, value)


def nsd(pair: ImagePair, tolerance: float) -> Floats:
    """Normalised surface distance (surface Dice), float64 [K]: the fraction of both surfaces within `tolerance` of the other.

    0 if the class is only in the truth or only in the prediction. (Nikolov et al. 2021.)
    """

    def value(pair: ImagePair, k: int) -> float:
        if pair.state(k) != "both":
            return 0.0
        found = surface_distances(pair, k)
        within = tolerance * (1 + _ROUNDING)
        near = (found.from_truth <= within).sum() + (found.from_predicted <= within).sum()
        return float(near / (len(found.from_truth) + len(found.from_predicted)))

    return by_class(pair, value)
