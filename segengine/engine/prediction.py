"""Class indices of images, for evaluation and prediction; falls back to smaller passes and tiles when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segengine.engine.machine_errors import out_of_memory
from segengine.engine.memory import release_memory
from segengine.engine.precision import Precision
from segengine.engine.sliding import sliding_classes, sliding_probabilities

TILE_PIXELS = 1024
"""Side of the tiles for images above `LARGEST_PIXELS`."""
SMALLEST_TILE = 128
"""Side of the smallest tiles tried when memory runs out."""
LARGEST_PIXELS = 2048 * 2048
"""Maximum number of pixels of an image that is predicted in a single pass."""


def size_of_a_pass(height: int, width: int) -> tuple[int, int]:
    """Height and width in pixels of one forward pass for an image of this size: the image's own, or a tile's."""
    if height * width <= LARGEST_PIXELS:
        return height, width
    return min(height, TILE_PIXELS), min(width, TILE_PIXELS)


@dataclass
class PassLimits:
    """Limits set after memory ran out: images per pass, pixels per image, side of the tiles."""

    images: int | None = None
    largest_pixels: int | None = None
    tile: int | None = None

    @property
    def active(self) -> str:
        """The limits as text; '' if memory has not run out."""
        return "" if self == PassLimits() else str(self)

    def __str__(self) -> str:
        """`4 images per pass`, or the tile size for larger images."""
        if self.tile is None:
            return "no limit" if self.images is None else f"{self.images} image{'s' * (self.images > 1)} per pass"
        return f"tiles of {self.tile}x{self.tile} pixels"


@dataclass(frozen=True)
class Predictor:
    """A trained model on its device. Images above `largest_pixels` are predicted in tiles.

    When memory runs out, the number of images per pass is halved, then images are predicted in tiles, then tiles are
    halved; `limits` keeps these limits for later passes. `finish`: post-processing of class maps uint8 [H, W], applied to
    the results of `classes` and `classes_and_probabilities`.
    """

    model: nn.Module
    device: torch.device
    precision: Precision
    largest_pixels: int = LARGEST_PIXELS
    tile: int = TILE_PIXELS
    limits: PassLimits = field(default_factory=PassLimits)
    finish: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None

    def logits(self, images: Tensor) -> Tensor:
        """Logits float32 [B, K, H, W] of images uint8 [B, C, H, W] on the device."""
        with self.precision.autocast():
            result: Tensor = self.model(images.contiguous(memory_format=torch.channels_last))
        return result.float()

    def image_classes(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class indices uint8 [H, W] of one image uint8 [H, W, C]."""
        tensor = torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1)[None]
        return np.asarray(self.classes(tensor)[0].cpu().numpy())

    def image_probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities float32 [K, H, W] of one image uint8 [H, W, C]; large images are predicted in tiles."""
        tensor = torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1)
        _, found = self.classes_and_probabilities(tensor[None])
        whole = found[0] if found is not None else torch.cat(list(self.probability_bands(tensor)), dim=1)
        return np.asarray(whole.cpu().numpy())

    @torch.inference_mode()
    def classes(self, images: Tensor) -> Tensor:
        """Class indices uint8 [B, H, W] (on the device if whole, else on the CPU) of images uint8 [B, C, H, W].

        The model is in evaluation mode during the call.

        Raises:
            torch.OutOfMemoryError: memory runs out with a tile of the smallest size.
        """
        with self._evaluating():
            found = self._by_images(images, self._classes, self._tiled_classes)
        assert found is not None
        return self._finished(found)

    @torch.inference_mode()
    def classes_of_a_pass(self, images: Tensor) -> Tensor:
        """`classes` of images on the device in a single pass, without fallback."""
        with self._evaluating():
            return self._classes(images)

    @torch.inference_mode()
    def probabilities_of_a_pass(self, images: Tensor) -> Tensor:
        """Class probabilities float32 [B, K, H, W] of images uint8 [B, C, H, W], without fallback."""
        with self._evaluating():
            return self.logits(images.to(self.device)).softmax(1)

    @torch.inference_mode()
    def classes_and_probabilities(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """`classes`, and the class probabilities float32 [B, K, H, W]; None for images predicted in tiles."""
        with self._evaluating():
            both = self._by_images(images, self._classes_and_probabilities, lambda _: None)
        if both is None:
            return self.classes(images), None
        return self._finished(both[:, 0].to(torch.uint8)), both[:, 1:]

    @torch.inference_mode()
    def probability_bands(self, image: Tensor) -> Iterator[Tensor]:
        """The class probabilities float32 [K, h, W] of an image uint8 [C, H, W] of any size, rows from the top in bands."""
        with self._evaluating():
            yield from sliding_probabilities(self.logits, image, self._tile, self.device)

    def _finished(self, classes: Tensor) -> Tensor:
        if self.finish is None:
            return classes
        maps = [torch.from_numpy(self.finish(each)) for each in classes.cpu().numpy()]
        return torch.stack(maps).to(classes.device)

    def _classes(self, images: Tensor) -> Tensor:
        # `max` finds the same index as `argmax`, the first of equal values, an order of magnitude faster on a CPU.
        return self.logits(images).max(1).indices.to(torch.uint8)

    def _classes_and_probabilities(self, images: Tensor) -> Tensor:
        logits = self.logits(images)
        return torch.cat([logits.max(1).indices[:, None].to(logits.dtype), logits.softmax(1)], dim=1)

    def _by_images(
        self, images: Tensor, whole: Callable[[Tensor], Tensor], tiled: Callable[[Tensor], Tensor | None]
    ) -> Tensor | None:
        """Apply `whole` to as many images per pass as memory allows, and `tiled` to images that don't fit singly."""
        done: list[Tensor] = []
        while sum(map(len, done)) < len(images):
            if self._large(images):
                return tiled(images)
            first = sum(map(len, done))
            part = images[first : first + (self.limits.images or len(images))]
            try:
                done.append(whole(part.to(self.device, non_blocking=True)))
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            else:
                continue
            # Only after the except block are the error's frames, which hold the pass's tensors, released.
            release_memory(self.device)
            self._lower_limits(part)
        return done[0] if len(done) == 1 else torch.cat(done)

    def _lower_limits(self, failed: Tensor) -> None:
        """Halve the images per pass after memory ran out; after a pass with a single image, switch to tiles."""
        height, width = failed.shape[-2:]
        if len(failed) > 1:
            self.limits.images = -(-len(failed) // 2)
        else:
            self.limits.images = 1
            self.limits.largest_pixels = height * width - 1
            self.limits.tile = max(SMALLEST_TILE, min(self._tile, 32 * (max(height, width) // 64)))

    def _tiled_classes(self, images: Tensor) -> Tensor:
        return torch.stack([self._tiled(image) for image in images])

    def _tiled(self, image: Tensor) -> Tensor:
        while True:
            try:
                return sliding_classes(self.logits, image, self._tile, self.device)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self._tile <= SMALLEST_TILE:
                    raise
            release_memory(self.device)
            self.limits.tile = max(SMALLEST_TILE, self._tile // 2)

    @property
    def _tile(self) -> int:
        return min(self.tile, self.limits.tile or self.tile)

    def _large(self, images: Tensor) -> bool:
        most = self.largest_pixels if self.limits.largest_pixels is None else self.limits.largest_pixels
        return images.shape[-2] * images.shape[-1] > min(most, self.largest_pixels)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """The model in evaluation mode, without autotuning of convolutions, which each new image size would repeat."""
        was_training, autotuning = self.model.training, torch.backends.cudnn.benchmark
        self.model.eval()
        torch.backends.cudnn.benchmark = False
        try:
            yield
        finally:
            self.model.train(was_training)
            torch.backends.cudnn.benchmark = autotuning
