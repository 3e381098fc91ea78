"""3x3 convolution with replication padding, differentiable under torch.compile."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ReplicatingConv2d(nn.Conv2d):
    """3x3 convolution with replication padding: [B, C, H, W] -> [B, O, H, W].

    Bit-identical to `nn.Conv2d(..., padding=1, padding_mode="replicate")`, with the same parameter names. Under torch.compile
    the border is padded by concatenation: inductor of torch 2.15 expects the gradient of replication padding in a different
    memory format than the kernel returns for channels-last inputs.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1, padding_mode="replicate")

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            return super().forward(x)
        x = torch.cat([x[..., :1], x, x[..., -1:]], dim=-1)
        x = torch.cat([x[..., :1, :], x, x[..., -1:, :]], dim=-2)
        return F.conv2d(x, self.weight, self.bias)
