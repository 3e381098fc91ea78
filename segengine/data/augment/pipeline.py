"""Applies sample transforms in order; consecutive geometric transforms are fused into one warp."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TypeGuard

import numpy as np

from segengine.data.augment.geometry import Geometry, identity
from segengine.data.augment.transforms import (
    IGNORE,
    GeometricTransform,
    Image,
    Levels,
    LevelTransform,
    Mask,
    PixelTransform,
    RareCentred,
    Transform,
)
from segengine.data.augment.warp import class_at, warp_image, warp_mask

SampledOperations = tuple[Geometry | Levels, ...]
"""The operations of one sample with all random parameters, in order."""
_Run = tuple[GeometricTransform, ...]
_PROBES = ((2, 2), (1, 1), (1, 3), (3, 1), (3, 3))  # quarters of a window, checked before the whole window


class Pipeline:
    """A sequence of transforms as one callable; an empty sequence returns its input.

    `size` is the (height, width) of the result in pixels, None if samples differ. Outside the source image the image is
    0 and the mask 255. `plannable`: whether `draw` can sample all parameters in advance; False if a transform samples
    while it changes pixels.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(transforms)
        self._stages = tuple(_stages(self.transforms))
        self.size = self.transforms[-1].size if self.transforms else None
        self.plannable = all(map(_plannable, self._stages))

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """The transformed image uint8 [h, w, C] and mask uint8 [h, w], both C-contiguous.

        The input arrays are never modified. The same `rng` state gives the same sample.
        """
        for stage in self._stages:
            if _plannable(stage):
                image, mask = self.apply(_sampled(stage, rng, mask), image, mask)
            else:
                assert not isinstance(stage, tuple)
                image, mask = stage.apply(image, mask, rng)
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)

    def draw(self, rng: np.random.Generator, mask: Mask) -> SampledOperations:
        """Sample all random parameters for one sample with the mask uint8 [H, W], to be applied in order.

        `rng` is used as in `__call__`, so `apply` gives the same sample. The pipeline must be `plannable`.
        """
        operations: SampledOperations = ()
        geometric = sum(isinstance(stage, tuple) for stage in self._stages)
        for stage in self._stages:
            assert _plannable(stage), f"{stage!r} samples while it changes pixels"
            operation = _sampled(stage, rng, mask)
            operations += operation
            if isinstance(stage, tuple):
                geometric -= 1
                if geometric:  # a later geometric stage uses the mask after this one
                    mask = warp_mask(mask, *operation)  # type: ignore[arg-type]
        return operations

    def apply(self, operations: SampledOperations, image: Image, mask: Mask) -> tuple[Image, Mask]:
        """The image uint8 [H, W, C] and the mask uint8 [H, W] transformed by the `operations` drawn for them."""
        for operation in operations:
            if isinstance(operation, Geometry):
                image, mask = warp_image(image, operation), warp_mask(mask, operation)
            else:
                image = operation(image)
        return image, mask


def _plannable(stage: _Run | PixelTransform) -> TypeGuard[_Run | LevelTransform]:
    return isinstance(stage, tuple) or hasattr(stage, "draw_levels")


def _sampled(stage: _Run | LevelTransform, rng: np.random.Generator, mask: Mask) -> SampledOperations:
    """The operation of a stage, () for no change; `mask` is the sample's mask before it."""
    if not isinstance(stage, tuple):
        levels = stage.draw_levels(rng)
        return () if levels is None else (levels,)
    attempts = max(getattr(transform, "attempts", 1) for transform in stage)
    geometry = _draw(stage, rng, mask)
    if attempts > 1 and not _shows_a_class(mask, geometry) and not _all_ignored(mask):
        for _ in range(attempts - 1):
            geometry = _draw(stage, rng, mask)
            if _shows_a_class(mask, geometry):
                break
    return (geometry,)


def _shows_a_class(mask: Mask, geometry: Geometry) -> bool:
    """Whether the window has a valid pixel; a few pixels usually suffice to find one."""
    height, width = geometry.height, geometry.width
    probes = ((row * height // 4, column * width // 4) for row, column in _PROBES)
    return any(class_at(mask, geometry, *probe) != IGNORE for probe in probes) or not _all_ignored(
        warp_mask(mask, geometry)
    )


def _stages(transforms: Sequence[Transform]) -> list[PixelTransform | _Run]:
    stages: list[PixelTransform | _Run] = []
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
    """The geometry after applying one transform to the result of `so_far`."""
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
    """Row and column of a random pixel: uniform over classes, then over the pixels of the class; None without any."""
    classes = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[:IGNORE])
    if not len(classes):
        return None
    places = np.flatnonzero(mask == classes[rng.integers(len(classes))])
    row, column = divmod(int(places[rng.integers(len(places))]), mask.shape[1])
    return row, column


def _all_ignored(mask: Mask) -> bool:
    return bool(mask.min(initial=IGNORE) == IGNORE)
