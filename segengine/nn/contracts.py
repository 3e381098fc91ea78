"""Protocols of backbone and decoder modules: any `nn.Module` with these attributes and this `forward`. No torch at import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class BackboneModule(Protocol):
    """Normalised float32 [B, C, H, W] -> list of [B, channels[i], H/strides[i], W/strides[i]].

    H and W must be multiples of the deepest stride, which `Segmenter` ensures by padding. `strides` ascend and may repeat in
    a dilated backbone. `mean` and `std` have one value per input channel, for images in 0..1.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor, /) -> list[Tensor]: ...


@runtime_checkable
class DecoderModule(Protocol):
    """A backbone's list of feature maps -> [B, out_channels, H/stride, W/stride]."""

    out_channels: int
    stride: int

    def __call__(self, features: list[Tensor], /) -> Tensor: ...
