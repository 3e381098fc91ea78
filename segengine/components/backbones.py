"""Built-in backbones: VGG, and any of timm's feature extractors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from segengine.components.base import Backbone, RelativePath
from segengine.errors import SpecError
from segengine.registry import suggest

if TYPE_CHECKING:
    from segengine.nn.contracts import BackboneModule

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_WORDS = ("none", "pretrained")


def _resolved(weights: str, info: ValidationInfo) -> str:
    """`none`, `pretrained`, or a file's path, made absolute if validation has the spec's folder (`base_folder`)."""
    if weights in _WORDS:
        return weights
    if not weights.endswith(WEIGHT_SUFFIXES):
        hint = suggest(weights, _WORDS) or "write none, pretrained, or the path of a .safetensors or .pth file"
        message = f"'{weights}' is not none, pretrained or a weights file; {hint}"
        # Curly braces are pydantic's placeholders in custom messages.
        raise PydanticCustomError("weights", "{message}", {"message": message})
    folder = (info.context or {}).get("base_folder")
    return str((Path(folder) / weights).resolve()) if folder else weights


Weights = Annotated[str, AfterValidator(_resolved), RelativePath]
"""A backbone's initial weights: `none` (random), `pretrained` (downloads), or a file, relative to the spec's folder."""


def check_weights(weights: str) -> None:
    """Check that a file of weights exists; `none` and `pretrained` always pass.

    Raises:
        SpecError: no such file.
    """
    if weights not in _WORDS and not Path(weights).is_file():
        raise SpecError(f"weights file {weights} does not exist; give an existing file, pretrained or none")


class Vgg(Backbone):
    """VGG (Simonyan and Zisserman, 2015): six feature maps at strides 1 to 32, the first at the image's full size.

    For decoders with an output stride of 16 or 8, the last poolings are removed and convolutions dilated instead.
    """

    name: Literal["vgg"] = "vgg"
    depth: Literal[11, 13, 16, 19] = Field(default=16, description="number of weighted layers of the original network")
    batch_norm: bool = Field(default=True, description="batch normalisation after each convolution")
    weights: Weights = Field(
        default="none",
        description="initial weights: none (random), pretrained (ImageNet, from torchvision, needs a network), "
        "or the path of a .safetensors or .pth file in torchvision's naming",
    )

    def preflight(self) -> None:
        check_weights(self.weights)

    def build(self, *, in_channels: int, output_stride: int = 32) -> BackboneModule:
        from segengine.nn.vgg import build_vgg

        return build_vgg(
            self.depth,
            batch_norm=self.batch_norm,
            in_channels=in_channels,
            output_stride=output_stride,
            weights=self.weights,
        )


class Timm(Backbone):
    """Any timm model with feature maps: ResNets, ConvNeXts, Swins, EfficientNets and hundreds more."""

    name: Literal["timm"] = "timm"
    model: str = Field(description="name of the model in timm, with or without a tag: convnext_tiny, resnet50.a1_in1k")
    weights: Weights = Field(
        default="none",
        description="initial weights: none (random), pretrained (timm's for the model, needs a network), "
        "or the path of a .safetensors or .pth file in timm's naming",
    )
    drop_path: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="stochastic depth (Huang et al., 2016): probability of skipping the deepest residual "
        "branch in training, decreasing linearly to 0 at the first; for models that support it",
    )

    def preflight(self) -> None:
        from segengine.nn.timm_backbone import check_drop_path, check_timm_model

        check_timm_model(self.model)
        check_weights(self.weights)
        check_drop_path(self.model, self.drop_path)

    def build(self, *, in_channels: int, output_stride: int = 32) -> BackboneModule:
        from segengine.nn.timm_backbone import build_timm

        return build_timm(
            self.model,
            in_channels=in_channels,
            output_stride=output_stride,
            weights=self.weights,
            drop_path=self.drop_path,
        )
