"""From images to class indices, the same way in evaluation and prediction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segengine.engine.precision import Precision
from segengine.engine.sliding import sliding_classes, sliding_probabilities

TILE_PIXELS = 1024
"""Side of the tiles of images that are too large for one pass."""
LARGEST_PIXELS = 2048 * 2048
"""The most pixels of an image that goes through the network as a whole."""


def size_of_a_pass(height: int, width: int) -> tuple[int, int]:
    """Height and width in pixels of what goes through the network at once for such an image: its own, or a tile's."""
    if height * width <= LARGEST_PIXELS:
        return height, width
    return min(height, TILE_PIXELS), min(width, TILE_PIXELS)


@dataclass(frozen=True)
class Predictor:
    """A trained model on its device. Images above `largest_pixels` are predicted in tiles."""

    model: nn.Module
    device: torch.device
    precision: Precision
    largest_pixels: int = LARGEST_PIXELS
    tile: int = TILE_PIXELS

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
        """Class probabilities float32 [K, H, W] of one image uint8 [H, W, C]; of a large one by tiles."""
        tensor = torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1)
        _, found = self.classes_and_probabilities(tensor[None])
        whole = found[0] if found is not None else torch.cat(list(self.probability_bands(tensor)), dim=1)
        return np.asarray(whole.cpu().numpy())

    @torch.inference_mode()
    def classes(self, images: Tensor) -> Tensor:
        """Class indices uint8 [B, H, W] (on the device if whole, else on the CPU) of images uint8 [B, C, H, W].

        The model is in evaluation mode meanwhile. `max` is used because it finds the same index as `argmax`, the first
        of equal values, an order of magnitude faster on CPU.
        """
        with self._evaluating():
            if self._large(images):
                return torch.stack([sliding_classes(self.logits, image, self.tile, self.device) for image in images])
            on_device = images.to(self.device, non_blocking=True)
            return self.logits(on_device).max(1).indices.to(torch.uint8)

    @torch.inference_mode()
    def classes_and_probabilities(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """`classes`, and the probabilities float32 [B, K, H, W] that they are likeliest by; None of large images."""
        if self._large(images):
            return self.classes(images), None
        with self._evaluating():
            logits = self.logits(images.to(self.device, non_blocking=True))
            return logits.max(1).indices.to(torch.uint8), logits.softmax(1)

    @torch.inference_mode()
    def probability_bands(self, image: Tensor) -> Iterator[Tensor]:
        """The class probabilities float32 [K, h, W] of an image uint8 [C, H, W] of any size, rows from the top in bands."""
        with self._evaluating():
            yield from sliding_probabilities(self.logits, image, self.tile, self.device)

    def _large(self, images: Tensor) -> bool:
        return images.shape[-2] * images.shape[-1] > self.largest_pixels

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        was_training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(was_training)
