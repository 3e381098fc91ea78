"""The complete network: normalisation, padding, backbone, decoder, classifier, resizing, cropping."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segengine.nn.auxiliary import auxiliary_head, supervision_heads
from segengine.nn.contracts import BackboneModule, DecoderModule
from segengine.nn.recomputing import recompute
from segengine.nn.replicating import ReplicatingConv2d


class Segmenter(nn.Module):
    """Images uint8, or floating point in 0..255, [B, C, H, W] -> logits float32 [B, K, H, W], for any H, W >= 1.

    Normalisation (the backbone's mean and std, of images in 0..1) is part of the network and of its state, so that
    training, evaluation, prediction and export are consistent. Images are padded at the bottom and the right to a
    multiple of the deepest stride by repeating their last row and column, and the logits are cropped back.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: BackboneModule, decoder: DecoderModule, num_classes: int) -> None:
        super().__init__()
        assert isinstance(backbone, nn.Module)
        assert isinstance(decoder, nn.Module)
        self.backbone = backbone
        self.decoder = decoder
        self.num_classes = num_classes
        # 3x3 instead of 1x1: with narrow decoders, nine times as many weights converge in far fewer steps.
        self.head = ReplicatingConv2d(decoder.out_channels, num_classes)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        self.backbone_frozen = False
        self.multiple = math.lcm(*backbone.strides)
        self.register_buffer("mean", torch.tensor(backbone.mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(backbone.std, dtype=torch.float32).view(1, -1, 1, 1))

        self.auxiliary = nn.ModuleList()

    def add_auxiliary_heads(self) -> None:
        """Add auxiliary heads on the decoder's inner feature maps (U-Net++), else on the backbone's second-to-last map."""
        inner = getattr(self.decoder, "inner_channels", ())
        if inner:
            self.auxiliary = supervision_heads(inner, self.num_classes)
        else:
            self.auxiliary = nn.ModuleList([auxiliary_head(self.backbone.channels[-2:][0], self.num_classes)])

    def drop_auxiliary_heads(self) -> None:
        """Remove the auxiliary heads, which inference doesn't use."""
        self.auxiliary = nn.ModuleList()

    def recompute_activations(self) -> None:
        """Enable gradient checkpointing of the decoder, and of the backbone unless it is frozen."""
        assert isinstance(self.decoder, nn.Module)
        recompute(self.decoder)
        if not self.backbone_frozen:
            assert isinstance(self.backbone, nn.Module)
            recompute(self.backbone)

    def freeze_backbone(self) -> None:
        """Freeze the backbone: no gradients, and evaluation mode also during training.

        Batch normalisation keeps its running statistics; dropout and stochastic depth are off.
        """
        self.backbone_frozen = True
        self.backbone.requires_grad_(False)
        self.backbone.eval()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.backbone_frozen:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits; in training followed by those of the auxiliary heads, [B, (1 + heads) * K, H, W]."""
        height, width = images.shape[-2:]
        x = self._padded(self._normalised(images))
        features = self.backbone(x)
        if self.training and len(self.auxiliary):
            logits = torch.cat([self._resized(each, x) for each in self._supervised(features)], dim=1)
        else:
            logits = self._resized(self.head(self.decoder(features)), x)
        return logits[..., :height, :width]

    def _supervised(self, features: list[Tensor]) -> list[Tensor]:
        if getattr(self.decoder, "inner_channels", ()):
            decoded, inner = self.decoder.with_inner(features)  # type: ignore[operator]
        else:
            decoded, inner = self.decoder(features), features[-2:][:1]
        return [self.head(decoded), *(head(each) for head, each in zip(self.auxiliary, inner, strict=True))]

    def _resized(self, logits: Tensor, like: Tensor) -> Tensor:
        logits = logits.float()
        if logits.shape[-2:] == like.shape[-2:]:
            return logits
        return F.interpolate(logits, size=like.shape[-2:], mode="bilinear", align_corners=False)

    def _normalised(self, images: Tensor) -> Tensor:
        return (images.float() / 255 - self.mean) / self.std

    def _padded(self, x: Tensor) -> Tensor:
        bottom, right = (-x.shape[-2]) % self.multiple, (-x.shape[-1]) % self.multiple
        # Replication works for any size; reflection cannot pad by more than the image size.
        return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
