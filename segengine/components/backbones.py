"""Built-in backbones: VGG, and any of timm's feature extractors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from segengine.components.base import Backbone, RelativePath
from segengine.errors import SpecError
from segengine.registry import suggest
from segengine.weight_store import PREFIX, SUFFIXES, weights_path

if TYPE_CHECKING:
    from segengine.nn.contracts import BackboneModule

WEIGHT_SUFFIXES = SUFFIXES
_WORDS = ("none", "pretrained")


class InitialWeights:
    """Marker in `Annotated` for a backbone's field of initial weights: one of `words`, `store:NAME`, or a file.

    A relative path becomes absolute if validation has the spec's folder (context `base_folder`).
    """

    def __init__(self, *words: str) -> None:
        self.words = words

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self._resolved, handler(source))

    def _resolved(self, weights: str, info: core_schema.ValidationInfo) -> str:
        if weights in self.words or re.fullmatch(rf"{PREFIX}[\w.-]+", weights):
            return weights
        if not weights.endswith(WEIGHT_SUFFIXES):
            words = ", ".join(self.words)
            hint = (
                suggest(weights, self.words) or f"write {words}, store:NAME, or the path of a .safetensors or .pth file"
            )
            message = f"'{weights}' is not {words}, store:NAME or a weights file; {hint}"
            # Curly braces are pydantic's placeholders in custom messages.
            raise PydanticCustomError("weights", "{message}", {"message": message})
        folder = (info.context or {}).get("base_folder")
        return str((Path(folder) / weights).resolve()) if folder else weights


Weights = Annotated[str, InitialWeights(*_WORDS), RelativePath]
"""A backbone's initial weights: `none` (random), `pretrained` (downloads), `store:NAME` (an entry of the local weight store),
or a file, relative to the spec's folder."""


def check_weights(weights: str, words: Sequence[str] = _WORDS) -> None:
    """Check that a file of weights exists, and that `store:NAME` is in the local store; `words` always pass.

    Raises:
        SpecError: no such file or entry, or a file of the store that has changed.
    """
    if weights not in words and not weights_path(weights).is_file():
        raise SpecError(f"weights file {weights} does not exist; give an existing file, {' or '.join(reversed(words))}")


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
        "store:NAME, or the path of a .safetensors or .pth file in torchvision's naming",
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
        "store:NAME, or the path of a .safetensors or .pth file in timm's naming",
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
