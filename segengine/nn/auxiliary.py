"""Auxiliary heads for training: deep supervision of the decoder, or a head on a backbone feature map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segengine.nn.batch_norm import BatchNorm2d
from segengine.nn.replicating import ReplicatingConv2d

AUXILIARY_WIDTH = 256


def auxiliary_head(channels: int, num_classes: int) -> nn.Sequential:
    """The head on the backbone's second-to-last feature map (Zhao et al., PSPNet, 2017): [B, channels, h, w] -> [B, K, h, w]."""
    width = min(AUXILIARY_WIDTH, channels)
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False), BatchNorm2d(width), nn.ReLU(inplace=True), nn.Dropout2d(0.1),
        nn.Conv2d(width, num_classes, 1),
    )  # fmt: skip


def supervision_heads(channels: Sequence[int], num_classes: int) -> nn.ModuleList:
    """One classifier per inner feature map of a decoder (Zhou et al., U-Net++, 2018)."""
    return nn.ModuleList(ReplicatingConv2d(width, num_classes) for width in channels)


class SupervisedLoss(nn.Module):
    """Loss for a segmenter with auxiliary heads, whose training output is float32 [B, (1 + heads) * K, H, W].

    The loss of the first K channels plus `weight` times the mean loss of the heads.
    """

    def __init__(self, loss: nn.Module, num_classes: int, weight: float) -> None:
        super().__init__()
        self.loss, self.num_classes, self.weight = loss, num_classes, weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        main, *heads = (part.contiguous() for part in torch.split(logits, self.num_classes, dim=1))
        value: Tensor = self.loss(main, target)
        if not heads:
            return value
        return value + self.weight * torch.stack([self.loss(head, target) for head in heads]).mean()
