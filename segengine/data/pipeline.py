"""Applies sample transforms in order, fusing each run of geometric ones into one warp."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from segengine.data.geometry import Geometry, identity
from segengine.data.transforms import IGNORE, GeometricTransform, Image, Mask, PixelTransform, RareCentred, Transform
from segengine.data.warp import warp_image, warp_mask


class Pipeline:
    """A sequence of transforms as one callable; an empty one returns what it is given.

    `size` is the (height, width) in pixels of what comes out, None where samples differ; `fill` (0..255) is the
    image's value outside of the source image, where the mask is always 255.
    """

    def __init__(self, transforms: Sequence[Transform], *, fill: int = 0) -> None:
        self.transforms = tuple(transforms)
        self.fill = fill
        self._stages = tuple(_stages(self.transforms))
        self.size = self.transforms[-1].size if self.transforms else None

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """The transformed image uint8 [h, w, C] and mask uint8 [h, w], both C-contiguous.

        The given arrays are never changed. The same `rng` state gives the same sample.
        """
        for stage in self._stages:
            if isinstance(stage, PixelTransform):
                image, mask = stage.apply(image, mask, rng)
            else:
                image, mask = self._warp(stage, image, mask, rng)
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)

    def _warp(
        self, run: Sequence[GeometricTransform], image: Image, mask: Mask, rng: np.random.Generator
    ) -> tuple[Image, Mask]:
        attempts = max(getattr(transform, "attempts", 1) for transform in run)
        hopeless = attempts == 1 or _all_ignored(mask)
        for attempt in range(1, attempts + 1):
            geometry = _draw(run, rng, mask)
            warped = warp_mask(mask, geometry)
            if hopeless or attempt == attempts or not _all_ignored(warped):
                break
        return warp_image(image, geometry, self.fill), warped


def _stages(transforms: Sequence[Transform]) -> list[PixelTransform | tuple[GeometricTransform, ...]]:
    stages: list[PixelTransform | tuple[GeometricTransform, ...]] = []
    for geometric, run in groupby(transforms, lambda transform: isinstance(transform, GeometricTransform)):
        if geometric:
            stages.append(tuple(transform for transform in run if isinstance(transform, GeometricTransform)))
            continue
        for transform in run:
            assert isinstance(transform, PixelTransform), f"{transform!r} has neither draw() nor apply()"
            stages.append(transform)
    return stages


def _draw(run: Sequence[GeometricTransform], rng: np.random.Generator, mask: Mask) -> Geometry:
    geometry = _drawn(run[0], rng, identity(*mask.shape), mask)
    for transform in run[1:]:
        geometry = geometry.then(_drawn(transform, rng, geometry, mask))
    return geometry


def _drawn(transform: GeometricTransform, rng: np.random.Generator, so_far: Geometry, mask: Mask) -> Geometry:
    """What one transform makes of the sample as it is after `so_far`."""
    height, width = so_far.height, so_far.width
    share = getattr(transform, "rare_share", 0.0)
    if share and rng.random() < share:
        assert isinstance(transform, RareCentred), f"{transform!r} has a rare_share, but no draw_about()"
        pixel = _pixel_of_a_class(mask, rng)
        if pixel is not None:
            row, column = pixel
            x, y, _ = np.linalg.solve(so_far.matrix, (column, row, 1.0)).tolist()
            return transform.draw_about(rng, height, width, y, x)
    return transform.draw(rng, height, width)


def _pixel_of_a_class(mask: Mask, rng: np.random.Generator) -> tuple[int, int] | None:
    """Row and column of a pixel of a class, first the class and then the pixel with equal chances; None without any."""
    classes = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[:IGNORE])
    if not len(classes):
        return None
    places = np.flatnonzero(mask == classes[rng.integers(len(classes))])
    row, column = divmod(int(places[rng.integers(len(places))]), mask.shape[1])
    return row, column


def _all_ignored(mask: Mask) -> bool:
    return bool(mask.min(initial=IGNORE) == IGNORE)
