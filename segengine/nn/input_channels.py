"""Adaptation of pretrained weights and statistics to another number of input channels (timm's rule)."""

from __future__ import annotations

from collections.abc import Sequence

from timm.models import adapt_input_conv
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def statistics_for(values: Sequence[float], in_channels: int) -> tuple[float, ...]:
    """Mean or std for `in_channels` channels: the average for one channel, else the given values repeated cyclically."""
    if in_channels == 1:
        return (sum(values) / len(values),)
    return tuple(float(values[i % len(values)]) for i in range(in_channels))


def convolution_for(weight: Tensor, in_channels: int) -> Tensor:
    """The first convolution's weight [O, I, h, w] for `in_channels` channels, by timm's rule.

    One channel gets the sum over the I original ones (equal responses for a gray image and its RGB copy); other numbers get
    the original ones cyclically, scaled by I / in_channels to preserve the magnitude of responses.
    """
    adapted: Tensor = adapt_input_conv(in_channels, weight, base_chans=weight.shape[1])
    return adapted
