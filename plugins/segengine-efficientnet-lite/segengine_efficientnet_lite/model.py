"""The network behind the component: timm's EfficientNet-Lite with TensorFlow's padding, for which the weights were trained."""

from __future__ import annotations

from segengine.plugin import BackboneModule, build_timm_backbone, load_backbone_weights
from segengine_efficientnet_lite.pretrained import installed_file, timm_names


def build_lite(version: int, *, in_channels: int, output_stride: int, weights: str) -> BackboneModule:
    """EfficientNet-Lite`version` with maps of 16, 24, 40, 112 and 320 channels (0 and 1) or 16, 24, 48, 120 and 352 (2)."""
    installed = weights == "imagenet"
    model = f"tf_efficientnet_lite{version}"
    backbone = build_timm_backbone(
        model, in_channels=in_channels, output_stride=output_stride, weights="none" if installed else weights
    )
    if installed:
        load_backbone_weights(backbone, installed_file(version), in_channels=in_channels, rename=timm_names(version))
    return backbone
