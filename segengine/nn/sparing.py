"""Recomputation of cheap, large activations on a CPU (normalisation, pooling, concatenation) to save memory bandwidth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
from torch import Tensor, nn
from torch.nn import functional as F

from segengine.nn.recomputing import in_turn, recomputed

LARGE = 1 << 20
"""Minimum number of elements of an activation for recomputation."""


def sparingly(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Apply `layers` in order, recomputing activations between a normalisation or pooling and the following convolution.

    Batch normalisation stores its input, and the following convolution would store its own input of the same size, which
    can be recomputed from the first. The recomputation ends before the convolution, because torch's checkpoint stops once
    the needed tensors exist. Results are unchanged.
    """
    group: list[nn.Module] = []
    for layer in layers:
        group.append(layer)
        if isinstance(layer, nn.Conv2d):
            cheap = len(group) > 1 and not getattr(group[0], "inplace", False)
            x = in_turn(group, x, again=cheap and _worth_it(x))
            group = []
    return cast("Tensor", in_turn(group, x, again=False))


class SparingBlock(nn.Module):
    """smp's U-Net decoder block with the same parameter names, without storing the input of its first convolution.

    That input is the deeper map [B, C, h, w], upsampled to the target size and concatenated with the skip connection.
    """

    def __init__(self, block: UnetDecoderBlock) -> None:
        super().__init__()
        self.conv1, self.attention1, self.conv2, self.attention2 = (
            block.conv1, block.attention1, block.conv2, block.attention2,
        )  # fmt: skip
        self.interpolation_mode = block.interpolation_mode
        self.sparing = True

    def forward(self, x: Tensor, height: int, width: int, skip_connection: Tensor | None = None) -> Tensor:
        layers: list[nn.Module] = [*self.conv1, *self.conv2, self.attention2]
        joined = partial(self._joined, height, width, layers[0])
        worth_it = self.sparing and _worth_it(x, factor=4)
        modules = (self.attention1, layers[0])
        x = recomputed(joined, modules, x, skip_connection) if worth_it else joined(x, skip_connection)
        return sparingly(layers[1:], x) if self.sparing else in_turn(layers[1:], x, again=False)

    def _joined(self, height: int, width: int, convolution: Any, x: Tensor, skip: Tensor | None) -> Tensor:
        x = F.interpolate(x, size=(height, width), mode=self.interpolation_mode)
        if skip is not None:
            x = self.attention1(torch.cat([x, skip], dim=1))
        return cast("Tensor", convolution(x))


def _worth_it(x: Tensor, factor: int = 1) -> bool:
    """Whether recomputation pays: a large activation with gradient on a CPU, not under torch.compile."""
    return (
        x.device.type == "cpu" and x.requires_grad and torch.is_grad_enabled() and factor * x.numel() >= LARGE
        and not torch.compiler.is_compiling()
    )  # fmt: skip
