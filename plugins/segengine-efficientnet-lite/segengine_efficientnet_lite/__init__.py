"""EfficientNet-Lite for segengine: the component; the network is built in `model`, the weights are found in `pretrained`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from segengine.plugin import Backbone, BackboneModule, InitialWeights, RelativePath, check_weights

_WORDS = ("none", "imagenet")


class EfficientNetLite(Backbone):
    """EfficientNet-Lite (Tan and Le, 2019; Liu, 2020): five feature maps at strides 2 to 32, pretrained without a network."""

    name: Literal["efficientnet-lite"] = "efficientnet-lite"
    version: Literal[0, 1, 2] = Field(
        default=0, description="size of the network: 3.4, 4.1 or 4.8 million parameters with classifier"
    )
    weights: Annotated[str, InitialWeights(*_WORDS), RelativePath] = Field(
        default="imagenet",
        description="initial weights: imagenet (installed with this package), none (random), store:NAME, "
        "or the path of a .safetensors or .pth file in timm's naming",
    )

    def preflight(self) -> None:
        """Check that the weights are installed, or that their file exists."""
        if self.weights == "imagenet":
            from segengine_efficientnet_lite.pretrained import installed_file

            installed_file(self.version)
        else:
            check_weights(self.weights, _WORDS)

    def build(self, *, in_channels: int, output_stride: int = 32) -> BackboneModule:
        """The network: float32 [B, in_channels, H, W] -> five maps at strides 2 to `output_stride`."""
        from segengine_efficientnet_lite.model import build_lite

        return build_lite(self.version, in_channels=in_channels, output_stride=output_stride, weights=self.weights)


__all__ = ["EfficientNetLite"]
