"""Residual networks for segengine: the component; the network is implemented in `model`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from segengine.plugin import Backbone, BackboneModule, Weights, check_weights


class ResNet(Backbone):
    """Residual network (He et al., 2016): five feature maps at strides 2 to 32."""

    name: Literal["resnet"] = "resnet"
    depth: Literal[18, 34, 50, 101, 152] = Field(default=34, description="number of weighted layers")
    weights: Weights = Field(
        default="none",
        description="initial weights: none (random), pretrained (ImageNet, from timm, needs a network), "
        "or the path of a .safetensors or .pth file",
    )

    def preflight(self) -> None:
        """Check that the weights file exists, if one is set."""
        check_weights(self.weights)

    def build(self, *, in_channels: int, output_stride: int = 32) -> BackboneModule:
        """The network: float32 [B, in_channels, H, W] -> five maps at strides 2 to `output_stride`."""
        from segengine_resnet.model import build_resnet

        return build_resnet(self.depth, in_channels=in_channels, output_stride=output_stride, weights=self.weights)


__all__ = ["ResNet"]
