"""Checks of augmentations: samples depend only on the generator, and masks contain only the input's classes and 255."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial, wraps
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
_MANY = 60
_Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def builds_a_transform(subject: Subject) -> Iterator[str]:
    """build() returns a transform, for samples of a fixed size and of varying sizes."""
    for size in (_SIZES[0], None):
        transform = subject.component.build(size=size)
        if not isinstance(transform, GeometricTransform | PixelTransform | BatchTransform):
            yield (
                f"build() returns {type(transform).__name__} without draw() and apply(); return a transform with `size` and "
                "apply(image, mask, rng), or draw(rng, height, width) for a geometric transform, or "
                "apply_batch(images, masks, rng) for a transform of whole batches"
            )
            return
        if not hasattr(transform, "size"):
            yield "the transform has no attribute `size`; set it to the output's (height, width), None if it varies"
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
    """The result depends only on image, mask and rng."""
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
                yield "results differ for the same rng; draw all random numbers from `rng`, and keep no state"
                return
    finally:
        np.random.set_state(state)
        random.setstate(other_state)


def masks_stay_masks(subject: Subject) -> Iterator[str]:
    """A mask that is 3 everywhere contains only 3 and 255 afterwards."""
    for size in _SIZES:
        for draw in range(_DRAWS):
            _, mask = _applied(subject, *_pair(*size, value=3), draw)
            strange = sorted({int(value) for value in np.unique(mask)} - {3, IGNORE})
            if strange:
                yield (
                    f"a mask that is 3 everywhere contains {strange} afterwards; resample masks with nearest neighbour, and "
                    "fill pixels outside the image with 255"
                )
                return


def masks_are_not_blended(subject: Subject) -> Iterator[str]:
    """A mask of classes 0 and 9 becomes one of 0, 9 and 255 only: neighbouring classes are never averaged."""
    image, mask = _pair(*_SIZES[0])
    mask = np.where(mask < 2, np.uint8(0), np.uint8(9))
    for draw in range(_DRAWS):
        _, moved = _applied(subject, image.copy(), mask.copy(), draw)
        strange = sorted({int(value) for value in np.unique(moved)} - {0, 9, IGNORE})
        if strange:
            yield f"a mask of classes 0 and 9 comes out with {strange[:5]}; never blur or interpolate a mask"
            return


def image_and_mask_move_together(subject: Subject) -> Iterator[str]:
    """Where the mask is flipped, turned or shifted the image is too, and the other way round."""
    for draw in range(_DRAWS):
        image, mask = _applied(subject, *_landmarks(), draw)
        own = _agreement(image, mask)
        name, best = max(
            ((name, _agreement(move(image), mask)) for name, move in _MOVES.items()), key=lambda each: each[1]
        )
        if own < 0.5 and best > 0.9:
            yield f"image and mask don't match any more, but do where the image is {name}; change both alike"
            return


_MOVES: dict[str, Any] = {
    "flipped horizontally": lambda image: image[:, ::-1],
    "flipped vertically": lambda image: image[::-1],
    "turned by 180 degrees": lambda image: image[::-1, ::-1],
    **{
        f"shifted by {pixels} {axis}": partial(np.roll, shift=pixels, axis=number)
        for pixels in (-10, -5, 5, 10) for number, axis in enumerate(("rows", "columns"))
    },
}  # fmt: skip


def _landmarks() -> _Pair:
    """An image whose gray value follows from the class, with classes that lie differently after every flip."""
    mask = np.zeros(_SIZES[0], np.uint8)
    mask[2:14, 3:30], mask[20:36, 4:12], mask[24:30, 40:54] = 1, 2, 3
    image = np.repeat((40 + 50 * mask)[..., None], 3, axis=2).astype(np.uint8)
    return image, mask


def _agreement(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> float:
    """Share of the image's variance explained by the class (correlation ratio), over valid pixels; 1 without variance."""
    if image.shape[:2] != mask.shape:
        return 0.0
    values, classes = image.mean(axis=2)[mask != IGNORE], mask[mask != IGNORE]
    if len(np.unique(classes)) < 2 or values.std() < 1:
        return 1.0
    within = sum(values[classes == k].var() * (classes == k).sum() for k in np.unique(classes))
    return float(1 - within / (values.var() * values.size))


def something_changes(subject: Subject) -> Iterator[str]:
    """Of many draws of a geometric transform at least one changes the sample."""
    if not isinstance(subject.component.build(size=None), GeometricTransform):
        return
    for draw in range(_MANY):
        image, mask = _pair(*_SIZES[0])
        changed = _applied(subject, image.copy(), mask.copy(), draw)
        if not (np.array_equal(changed[0], image) and np.array_equal(changed[1], mask)):
            return
    yield f"changes nothing in {_MANY} draws with these settings; check the probability, or the matrix of Geometry (destination -> source)"


def samples_have_their_form(subject: Subject) -> Iterator[str]:
    """Results for images with 1, 3 and 5 channels are C-contiguous uint8, image and mask of the same size."""
    for size in _SIZES:
        for channels in _CHANNELS:
            for draw in range(_DRAWS):
                found = _form(_applied(subject, *_pair(*size, channels), draw), channels)
                if found:
                    yield f"result for an image of {size[0]}x{size[1]} pixels with {channels} channels: {found}"
                    return


def _form(pair: _Pair, channels: int) -> str:
    image, mask = (np.asarray(array) for array in pair)
    if image.dtype != np.uint8 or mask.dtype != np.uint8:
        return f"image {image.dtype}, mask {mask.dtype}; return uint8, clipped to 0..255"
    if image.ndim != 3 or image.shape[2] != channels or mask.ndim != 2:
        return f"image of shape {list(image.shape)}, mask of shape {list(mask.shape)}; return [H, W, C] and [H, W]"
    if image.shape[:2] != mask.shape:
        return (
            f"image of {image.shape[0]}x{image.shape[1]} pixels, mask of {mask.shape[0]}x{mask.shape[1]}; "
            "apply the same geometry to both"
        )
    if not (image.flags.c_contiguous and mask.flags.c_contiguous):
        return "not contiguous in memory; return np.ascontiguousarray(...)"
    return ""


def given_arrays_stay(subject: Subject) -> Iterator[str]:
    """The input image and mask, which may be cached, are not modified (they are passed read-only)."""
    for draw in range(_DRAWS):
        image, mask = _pair(*_SIZES[0])
        before = image.copy(), mask.copy()
        _applied(subject, image, mask, draw)
        if not (np.array_equal(before[0], image) and np.array_equal(before[1], mask)):
            yield "the input image or mask is modified; work on a copy"
            return


def declared_size_comes_out(subject: Subject) -> Iterator[str]:
    """The result has the declared size, for samples of a fixed size and of varying sizes."""
    for input_size in (_SIZES[0], None):
        declared = subject.component.build(size=input_size).size
        for size in _SIZES if input_size is None else _SIZES[:1]:
            for draw in range(_DRAWS):
                _, mask = _applied(subject, *_pair(*size), draw, input_size)
                if declared is not None and mask.shape != tuple(declared):
                    yield (
                        f"build(size={input_size}) declares {tuple(declared)}, but the result for a sample of "
                        f"{size[0]}x{size[1]} is {mask.shape[0]}x{mask.shape[1]}; declare None if the size varies"
                    )
                    return


def _of_samples(check: Check) -> Check:
    """The check, skipped for transforms of whole batches."""

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
            masks_are_not_blended,
            samples_have_their_form,
            declared_size_comes_out,
            image_and_mask_move_together,
            something_changes,
        ),
    ),
    *batch_augmentations.CHECKS,
)
