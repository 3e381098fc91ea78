"""Checks of batch augmentations: results depend only on the generator, with unchanged shapes, dtypes and classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from segengine.data.augment.transforms import BatchTransform
from segengine.data.batches.randomness import generator
from segengine.data.masks.mapping import IGNORE
from segengine.testing.networks import seeded
from segengine.testing.subject import Check, Subject

if TYPE_CHECKING:
    from torch import Tensor

_DRAWS = 8


def _transform(subject: Subject) -> Any:
    """The transform; None if it transforms single samples."""
    transform = subject.component.build(size=(16, 20))
    return transform if isinstance(transform, BatchTransform) else None


def _batch(count: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    import torch

    with seeded(4):
        images = torch.randint(0, 256, (count, channels, 16, 20), dtype=torch.uint8)
        masks = torch.randint(0, 4, (count, 16, 20), dtype=torch.uint8)
    masks[:, :2] = IGNORE
    return images, masks


def batches_are_a_function_of_rng(subject: Subject) -> Iterator[str]:
    """The result depends only on images, masks and rng, and the input tensors are not modified."""
    import torch

    transform = _transform(subject)
    for draw in range(_DRAWS if transform else 0):
        images, masks = _batch(4)
        before, results = (images.clone(), masks.clone()), []
        for seed in (0, 1):
            with seeded(seed):
                results.append(transform.apply_batch(images, masks, generator(0, draw, "batch")))
        if not all(torch.equal(one, other) for one, other in zip(*results, strict=True)):
            yield "results differ for the same rng; draw all random numbers from `rng`, and keep no state"
            return
        if not (torch.equal(before[0], images) and torch.equal(before[1], masks)):
            yield "the input images or masks are modified; do not use in-place operations on them"
            return


def batches_keep_their_form(subject: Subject) -> Iterator[str]:
    """Results for batches of 1, 2 and 5 images with 1, 3 and 5 channels are uint8 of the same shapes."""
    import torch

    transform = _transform(subject)
    for count, channels in ((1, 3), (2, 1), (5, 5)) if transform else ():
        for draw in range(_DRAWS):
            given = _batch(count, channels)
            for what, one, other in zip(
                ("images", "masks"), given, transform.apply_batch(*given, generator(0, draw, "batch")), strict=True
            ):
                if other.dtype != torch.uint8 or other.shape != one.shape:
                    yield (
                        f"result for {what} of shape {list(one.shape)} is {other.dtype} {list(other.shape)}; "
                        "return uint8 of the same shape"
                    )
                    return


def batch_masks_stay_masks(subject: Subject) -> Iterator[str]:
    """Masks contain only classes of the batch and 255."""
    transform = _transform(subject)
    for draw in range(_DRAWS if transform else 0):
        images, masks = _batch(4)
        masks = masks.clamp(min=3)
        found = transform.apply_batch(images, masks, generator(0, draw, "batch"))[1]
        strange = sorted(set(found.unique().tolist()) - {3, IGNORE})
        if strange:
            yield f"masks of 3 and 255 contain {strange} afterwards; copy labels, and do not blend them"
            return


CHECKS: tuple[Check, ...] = (batches_are_a_function_of_rng, batches_keep_their_form, batch_masks_stay_masks)
