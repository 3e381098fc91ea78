"""The network of the component: timm's ResNet."""

from __future__ import annotations

from segengine.plugin import BackboneModule, build_timm_backbone


def build_resnet(depth: int, *, in_channels: int, output_stride: int, weights: str) -> BackboneModule:
    """ResNet-`depth` with channels 64, 64, 128, 256, 512 (depths 18 and 34) or 64, 256, 512, 1024, 2048.

    With an output stride of 16 or 8, the last stages are dilated instead of strided.
    """
    return build_timm_backbone(f"resnet{depth}", in_channels=in_channels, output_stride=output_stride, weights=weights)
