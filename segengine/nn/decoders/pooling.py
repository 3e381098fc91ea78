"""Decoders with pyramid pooling of the deepest feature map: DeepLabV3+ and PSPNet, built from smp's blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from segmentation_models_pytorch.base.initialization import initialize_decoder
from segmentation_models_pytorch.base.modules import Conv2dReLU
from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPP, SeparableConv2d
from torch import Tensor, nn

from segengine.nn.batch_norm import with_safe_batch_norm
from segengine.nn.decoders.fusing import from_stride_4, resized


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ (Chen et al., 2018): atrous spatial pyramid pooling, fused with the map at stride 4.

    smp's own class requires fixed strides and resizes with align_corners=True.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        *,
        width: int,
        skip_channels: int,
        atrous_rates: tuple[int, int, int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.skip = from_stride_4(strides)[0]
        self.out_channels = width
        self.stride = strides[self.skip]
        self.aspp = nn.Sequential(
            ASPP(channels[-1], width, atrous_rates, separable=True, dropout=dropout), *_separable(width, width)
        )
        self.reduce = nn.Sequential(
            nn.Conv2d(channels[self.skip], skip_channels, 1, bias=False), nn.BatchNorm2d(skip_channels), nn.ReLU()
        )
        self.fuse = nn.Sequential(*_separable(width + skip_channels, width))
        with_safe_batch_norm(self)
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        skip = self.reduce(features[self.skip])
        x: Tensor = self.fuse(torch.cat([resized(self.aspp(features[-1]), skip), skip], dim=1))
        return x


def _separable(in_channels: int, out_channels: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    convolution = SeparableConv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(out_channels), nn.ReLU()


class PspNet(nn.Module):
    """PSPNet (Zhao et al., 2017): the deepest map, concatenated with its averages over grids of several sizes.

    smp's own class has fixed grids and resizes with align_corners=True. As in smp, the branch with a 1x1 grid has no batch
    normalisation.
    """

    def __init__(
        self, channels: Sequence[int], strides: Sequence[int], *, width: int, grids: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        deepest = channels[-1]
        self.out_channels = width
        self.stride = strides[-1]
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(grid),
                Conv2dReLU(deepest, max(1, deepest // len(grids)), kernel_size=1, use_norm=grid > 1),
            )
            for grid in grids
        )
        joined = deepest + max(1, deepest // len(grids)) * len(grids)
        self.fuse = nn.Sequential(Conv2dReLU(joined, width, kernel_size=1), nn.Dropout2d(dropout))
        with_safe_batch_norm(self)
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[-1]
        fused: Tensor = self.fuse(torch.cat([*(resized(branch(x), x) for branch in self.branches), x], dim=1))
        return fused
