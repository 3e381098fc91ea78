"""Decoders that resize feature maps of stride 4 and more to one size and fuse them: FPN, UPerNet, SegFormer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from segmentation_models_pytorch.base.initialization import initialize_decoder
from segmentation_models_pytorch.base.modules import Conv2dReLU
from segmentation_models_pytorch.decoders.fpn.decoder import Conv3x3GNReLU
from segmentation_models_pytorch.decoders.segformer.decoder import MLP
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from torch import Tensor, nn
from torch.nn import functional as F

from segengine.nn.batch_norm import with_safe_batch_norm


def from_stride_4(strides: Sequence[int]) -> tuple[int, ...]:
    """Indices of the feature maps with a stride of 4 or more; of the deepest one if there are none."""
    return tuple(i for i, stride in enumerate(strides) if stride >= 4) or (len(strides) - 1,)


def resized(x: Tensor, like: Tensor) -> Tensor:
    """`x` resized to the height and width of `like`; bilinear, align_corners=False."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class Fpn(nn.Module):
    """Feature pyramid network for segmentation (Kirillov et al., 2019), built from smp's blocks.

    smp's own class requires exactly four feature maps and resizes with align_corners=True.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        *,
        pyramid_channels: int,
        segmentation_channels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.used = from_stride_4(strides)
        self.out_channels = segmentation_channels
        self.stride = strides[self.used[0]]
        self.lateral = nn.ModuleList(nn.Conv2d(channels[i], pyramid_channels, 1) for i in self.used)
        self.branches = nn.ModuleList()
        for i in self.used:
            # One convolution per upsampling step to the finest map, at least one.
            blocks = max(1, (strides[i] // self.stride).bit_length() - 1)
            widths = [pyramid_channels] + [segmentation_channels] * blocks
            self.branches.append(nn.ModuleList(Conv3x3GNReLU(a, b) for a, b in pairwise(widths)))
        self.dropout = nn.Dropout2d(dropout)
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        maps = [lateral(features[i]) for lateral, i in zip(self.lateral, self.used, strict=True)]
        for k in range(len(maps) - 2, -1, -1):
            maps[k] = maps[k] + F.interpolate(maps[k + 1], size=maps[k].shape[-2:], mode="nearest")
        x: Tensor = self.dropout(torch.stack([self._branch(k, maps) for k in range(len(maps))]).sum(dim=0))
        return x

    def _branch(self, k: int, maps: list[Tensor]) -> Tensor:
        x, blocks = maps[k], self.branches[k]
        assert isinstance(blocks, nn.ModuleList)
        for number, block in enumerate(blocks, 1):
            x = block(x)
            if number < len(blocks):
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return resized(x, maps[0])


class UperNet(nn.Module):
    """UPerNet (Xiao et al., 2018): pyramid pooling of the deepest map, then a feature pyramid; smp's decoder."""

    def __init__(self, channels: Sequence[int], strides: Sequence[int], *, width: int) -> None:
        super().__init__()
        self.used = from_stride_4(strides)
        self.out_channels = width
        self.stride = strides[self.used[0]]
        # smp discards the first two maps, which have strides 1 and 2 there.
        core = UPerNetDecoder([0, 0, *(channels[i] for i in self.used)], decoder_channels=width)
        self.core = with_safe_batch_norm(core)
        initialize_decoder(self.core)

    def forward(self, features: list[Tensor]) -> Tensor:
        used = [features[i] for i in self.used]
        x: Tensor = self.core([used[0][:, :0], used[0][:, :0], *used])
        return x


class SegFormer(nn.Module):
    """SegFormer's decoder (Xie et al., 2021), built from smp's blocks: one linear layer per map, resizing, concatenation, fusion.

    smp's own class also uses the map at stride 2 and derives the image size from the first map.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], *, width: int) -> None:
        super().__init__()
        self.used = from_stride_4(strides)
        self.out_channels = width
        self.stride = strides[self.used[0]]
        self.linear = nn.ModuleList(MLP(channels[i], width) for i in self.used)
        self.fuse = Conv2dReLU(len(self.used) * width, width, kernel_size=1)
        with_safe_batch_norm(self)
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        maps = [linear(features[i]) for linear, i in zip(self.linear, self.used, strict=True)]
        x: Tensor = self.fuse(torch.cat([resized(m, maps[0]) for m in maps], dim=1))
        return x
