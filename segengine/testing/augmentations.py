"""What an augmentation promises: the same draw gives the same sample, and masks hold nothing but classes and 255."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.augment.transforms import BatchTransform, GeometricTransform, PixelTransform
from segengine.data.batches.randomness import generator
from segengine.data.masks.mapping import IGNORE
from segengine.testing import batch_augmentations
from segengine.testing.subject import Check, Subject

_SIZES = ((40, 56), (7, 5))
_CHANNELS = (1, 3, 5)
_DRAWS = 8
_Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def builds_a_transform(subject: Subject) -> Iterator[str]:
    """An augmentation builds a transform for samples of one size, and of different sizes."""
    for size in (_SIZES[0], None):
        transform = subject.component.build(size=size)
        if not isinstance(transform, GeometricTransform | PixelTransform | BatchTransform):
            yield (
                f"build() gives {type(transform).__name__} without draw() and apply(); give a transform with `size` and "
                "apply(image, mask, rng), or draw(rng, height, width) where it moves pixels, or "
                "apply_batch(images, masks, rng) where it mixes the images of a batch"
            )
            return
        if not hasattr(transform, "size"):
            yield "the transform has no attribute `size`; give the (height, width) of what comes out, None where it varies"
            return


def _applied(subject: Subject, image: NDArray[np.uint8], mask: NDArray[np.uint8], draw: int, size: Any = None) -> _Pair:
    from segengine.data.augment.pipeline import Pipeline

    image.setflags(write=False)
    mask.setflags(write=False)
    transform = subject.component.build(size=size)
    rng = generator(0, draw, "image")
    if isinstance(transform, PixelTransform):
        return transform.apply(image, mask, rng)
    return Pipeline([transform])(image, mask, rng)


def _pair(height: int, width: int, channels: int = 3, value: int | None = None) -> _Pair:
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    mask = rng.integers(0, 4, (height, width), dtype=np.uint8)
    return image, mask if value is None else np.full_like(mask, value)


def randomness_comes_from_rng(subject: Subject) -> Iterator[str]:
    """The sample is a function of image, mask and rng alone."""
    state = np.random.get_state()
    other_state = random.getstate()
    try:
        for draw in range(_DRAWS):
            results = []
            for seed in (2 * draw, 2 * draw + 1):
                np.random.seed(seed)
                random.seed(seed)
                results.append(_applied(subject, *_pair(*_SIZES[0]), draw))
            if not all(map(np.array_equal, *results)):
                yield "the same rng gives different samples; draw every random number from `rng`, and keep no state"
                return
    finally:
        np.random.set_state(state)
        random.setstate(other_state)


def masks_stay_masks(subject: Subject) -> Iterator[str]:
    """A mask of the constant 3 becomes one of 3 and 255 only."""
    for size in _SIZES:
        for draw in range(_DRAWS):
            _, mask = _applied(subject, *_pair(*size, value=3), draw)
            strange = sorted({int(value) for value in np.unique(mask)} - {3, IGNORE})
            if strange:
                yield (
                    f"a mask of the constant 3 comes out with {strange}; move masks by nearest neighbour, and fill what "
                    "comes into view with 255"
                )
                return


def samples_have_their_form(subject: Subject) -> Iterator[str]:
    """Images of 1, 3 and 5 channels come out as C-contiguous uint8, as large as their mask."""
    for size in _SIZES:
        for channels in _CHANNELS:
            for draw in range(_DRAWS):
                found = _form(_applied(subject, *_pair(*size, channels), draw), channels)
                if found:
                    yield f"an image of {size[0]}x{size[1]} with {channels} channels comes out {found}"
                    return


def _form(pair: _Pair, channels: int) -> str:
    image, mask = (np.asarray(array) for array in pair)
    if image.dtype != np.uint8 or mask.dtype != np.uint8:
        return f"as {image.dtype}, its mask as {mask.dtype}; give uint8, clipped to 0..255"
    if image.ndim != 3 or image.shape[2] != channels or mask.ndim != 2:
        return f"with shape {list(image.shape)}, its mask {list(mask.shape)}; give [H, W, C] and [H, W]"
    if image.shape[:2] != mask.shape:
        return f"{image.shape[0]}x{image.shape[1]}, its mask {mask.shape[0]}x{mask.shape[1]}; change both alike"
    if not (image.flags.c_contiguous and mask.flags.c_contiguous):
        return "not contiguous in memory; return np.ascontiguousarray(...)"
    return ""


def given_arrays_stay(subject: Subject) -> Iterator[str]:
    """The given image and mask, which may be cached, stay as they are (they are given read-only)."""
    for draw in range(_DRAWS):
        image, mask = _pair(*_SIZES[0])
        before = image.copy(), mask.copy()
        _applied(subject, image, mask, draw)
        if not (np.array_equal(before[0], image) and np.array_equal(before[1], mask)):
            yield "changes the image or mask that it is given; work on a copy"
            return


def declared_size_comes_out(subject: Subject) -> Iterator[str]:
    """What comes out has the declared size, for samples of one size and of different sizes."""
    for told in (_SIZES[0], None):
        declared = subject.component.build(size=told).size
        for size in _SIZES if told is None else _SIZES[:1]:
            for draw in range(_DRAWS):
                _, mask = _applied(subject, *_pair(*size), draw, told)
                if declared is not None and mask.shape != tuple(declared):
                    yield (
                        f"build(size={told}) declares {tuple(declared)}, but a sample of {size[0]}x{size[1]} comes out "
                        f"{mask.shape[0]}x{mask.shape[1]}; declare None where the size varies"
                    )
                    return


def _of_samples(check: Check) -> Check:
    """The check, for transforms of single samples."""

    @wraps(check)
    def checked(subject: Subject) -> Iterator[str]:
        if not isinstance(subject.component.build(size=None), BatchTransform):
            yield from check(subject)

    return checked


CHECKS: tuple[Check, ...] = (
    builds_a_transform,
    *map(
        _of_samples,
        (
            given_arrays_stay,
            randomness_comes_from_rng,
            masks_stay_masks,
            samples_have_their_form,
            declared_size_comes_out,
        ),
    ),
    *batch_augmentations.CHECKS,
)
