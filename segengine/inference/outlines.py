"""Outlines of predicted classes as GeoJSON features in pixel coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.masks.mapping import Label

Ring = list[list[int]]


def outlines(classes: NDArray[np.uint8], labels: Sequence[Label]) -> list[dict[str, Any]]:
    """A GeoJSON feature (RFC 7946) per connected component of each class of a uint8 [H, W] map, by class.

    Polygons follow the edges of pixels: x to the right and y down, in pixels from the upper left corner, so that a
    polygon's area is its component's number of pixels. Pixels that touch by a corner belong to one component.
    Properties: index, name and mask value of the class, number of pixels.
    """
    features = []
    for label in labels:
        value = list(label.raw) if isinstance(label.raw, tuple) else int(label.raw)
        for rings in _polygons(classes == label.index):
            properties = {
                "index": label.index,
                "class": label.name,
                "value": value,
                "pixels": round(abs(_area(rings[0])) - sum(abs(_area(hole)) for hole in rings[1:])),
            }
            features.append(
                {
                    "type": "Feature",
                    "properties": properties,
                    "geometry": {"type": "Polygon", "coordinates": rings},
                }
            )
    return features


def _polygons(mask: NDArray[np.bool_]) -> list[list[Ring]]:
    """Polygons of a mask: for each component the outer ring, then its holes."""
    import cv2

    if not mask.any():
        return []
    # Contours run through border pixels. With each pixel doubled, the border pixels 2x and 2x + 1 lie beside the
    # pixel's edges x and x + 1.
    doubled = np.repeat(np.repeat(mask.astype(np.uint8), 2, axis=0), 2, axis=1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    polygons: dict[int, list[Ring]] = {}
    holes: list[tuple[int, Ring]] = []
    for place, contour in enumerate(contours):
        ring, parent = _ring((contour[:, 0] + 1) // 2), int(hierarchy[0][place][3])
        if parent < 0:
            polygons[place] = [ring]
        else:
            holes.append((parent, ring))
    for parent, ring in holes:
        polygons[parent].append(ring)
    return [_wound(rings) for rings in polygons.values()]


def _ring(points: NDArray[np.int32]) -> Ring:
    """A closed ring without repeated points and points on straight lines."""
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    corners = points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    closed: Ring = np.concatenate([corners, corners[:1]]).tolist()
    return closed


def _wound(rings: list[Ring]) -> list[Ring]:
    """Outer rings counterclockwise and holes clockwise, in a system with y up, as RFC 7946 orders."""
    return [ring if (_area(ring) > 0) == (place == 0) else ring[::-1] for place, ring in enumerate(rings)]


def _area(ring: Ring) -> float:
    """Signed area by the shoelace formula."""
    x, y = np.array(ring, dtype=np.int64).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2
