"""Built-in decoders, based on those of segmentation_models_pytorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from segengine.components.base import Decoder

if TYPE_CHECKING:
    from segengine.nn.contracts import DecoderModule

Channels = Annotated[int, Field(ge=1, le=65536)]
Widths = Annotated[tuple[Channels, ...], Field(min_length=1)]
Cells = Annotated[int, Field(ge=1, le=1024)]
Dilation = Annotated[int, Field(ge=1, le=1024)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Dilated = Literal[8, 16, 32]

_WIDTHS = "channels of the blocks from stride 16 to stride 1; a backbone with fewer doublings uses the last ones"
_STRIDE = "output stride of the backbone: below 32 its last stages are dilated (finer, slower); 32 suits every backbone"


class Unet(Decoder):
    """U-Net (Ronneberger et al., 2015), up to stride 1.

    Skip connections at each stride of the backbone; VGG's map at full size is the last of them, where ResNets start at
    stride 2 and ConvNeXts and Swins at stride 4.
    """

    name: Literal["unet"] = "unet"
    channels: Widths = Field(default=(256, 128, 64, 32, 16), description=_WIDTHS)

    def build(self, *, channels: Sequence[int], strides: Sequence[int]) -> DecoderModule:
        from segengine.nn.decoders.doubling import unet

        return unet(channels, strides, block_channels=self.channels)


class UnetPlusPlus(Decoder):
    """U-Net++ (Zhou et al., 2018), up to stride 1: dense blocks between neighbouring skip connections.

    VGG's map at full size joins the dense blocks, which makes them slow: four more blocks at stride 1.
    """

    name: Literal["unet-plus-plus"] = "unet-plus-plus"
    channels: Widths = Field(default=(256, 128, 64, 32, 16), description=_WIDTHS)

    def build(self, *, channels: Sequence[int], strides: Sequence[int]) -> DecoderModule:
        from segengine.nn.decoders.doubling import unet_plus_plus

        return unet_plus_plus(channels, strides, block_channels=self.channels)


class Manet(Decoder):
    """MA-Net (Fan et al., 2020), up to stride 1: attention over positions at the deepest level, over channels at skips.

    VGG's map at full size is the last skip connection.
    """

    name: Literal["manet"] = "manet"
    channels: Widths = Field(default=(256, 128, 64, 32, 16), description=_WIDTHS)
    attention_channels: Channels = Field(default=64, description="channels of the position attention")

    def build(self, *, channels: Sequence[int], strides: Sequence[int]) -> DecoderModule:
        from segengine.nn.decoders.doubling import manet

        return manet(channels, strides, block_channels=self.channels, attention_channels=self.attention_channels)


class Linknet(Decoder):
    """LinkNet (Chaurasia and Culurciello, 2017), up to stride 1: skips are added, widths are the backbone's.

    VGG's map at full size is the last that is added.
    """

    name: Literal["linknet"] = "linknet"
    channels: Channels = Field(
        default=32, description="channels at stride 1, where the backbone has no map of its own there"
    )

    def build(self, *, channels: Sequence[int], strides: Sequence[int]) -> DecoderModule:
        from segengine.nn.decoders.doubling import linknet

        return linknet(channels, strides, final_channels=self.channels)


class Fpn(Decoder):
    """Feature pyramid network (Kirillov et al., 2019) on the maps from stride 4 on, to stride 4."""

    name: Literal["fpn"] = "fpn"
    pyramid_channels: Channels = Field(default=256, description="channels of the pyramid")
    segmentation_channels: Annotated[int, Field(ge=64, le=65536, multiple_of=32)] = Field(
        default=128,
        description="channels of the branches and of the result, 64, 96, 128 ... (32 groups are normalised)",
    )
    dropout: Dropout = Field(default=0.2, description="probability that a channel of the result is dropped in training")

    def build(self, *, channels: Sequence[int], strides: Sequence[int]) -> DecoderModule:
        from segengine.nn.decoders.fusing import Fpn

        return Fpn(
            channels,
            strides,
            pyramid_channels=self.pyramid_channels,
            segmentation_channels=self.segmentation_channels,
            dropout=self.dropout,
        )


class DeepLabV3Plus(Decoder):
    """DeepLabV3+ (Chen et al., 2018): atrous pyramid pooling on the deepest map, joined with that at stride 4."""

    name: Literal["deeplabv3-plus"] = "deeplabv3-plus"
    channels: Channels = Field(default=256, description="channels of the pooling and of the result")
    skip_channels: Channels = Field(default=48, description="channels to which the map at stride 4 is reduced")
    output_stride: Dilated = Field(default=16, description=_STRIDE)
    atrous_rates: tuple[Dilation, Dilation, Dilation] = Field(
        default=(6, 12, 18),
        description="dilation of the three 3x3 convolutions, in pixels of the deepest map; the paper doubles them, "
        "12, 24, 36, at an output stride of 8",
    )
    dropout: Dropout = Field(default=0.5, description="dropout behind the pooling in training")

    @property
    def wanted_stride(self) -> int:
        return self.output_stride

    def build(self, *, channels: Sequence[int], strides: Sequence[int]) -> DecoderModule:
        from segengine.nn.decoders.pooling import DeepLabV3Plus

        return DeepLabV3Plus(
            channels,
            strides,
            width=self.channels,
            skip_channels=self.skip_channels,
            atrous_rates=self.atrous_rates,
            dropout=self.dropout,
        )


class PspNet(Decoder):
    """PSPNet (Zhao et al., 2017): pyramid pooling on the deepest map, whose stride the result has."""

    name: Literal["pspnet"] = "pspnet"
    channels: Channels = Field(default=512, description="channels of the output")
    output_stride: Dilated = Field(default=8, description=_STRIDE)
    grids: Annotated[tuple[Cells, ...], Field(min_length=1)] = Field(
        default=(1, 2, 3, 6), description="cells along each side of the pooled grids"
    )
    dropout: Dropout = Field(default=0.2, description="probability that a channel of the result is dropped in training")

    @property
    def wanted_stride(self) -> int:
        return self.output_stride

    def build(self, *, channels: Sequence[int], strides: Sequence[int]) -> DecoderModule:
        from segengine.nn.decoders.pooling import PspNet

        return PspNet(channels, strides, width=self.channels, grids=self.grids, dropout=self.dropout)


class UperNet(Decoder):
    """UPerNet (Xiao et al., 2018): pyramid pooling, then a feature pyramid over the maps from stride 4 on, to stride 4."""

    name: Literal["upernet"] = "upernet"
    channels: Channels = Field(default=256, description="channels of the pyramid and of the result")

    def build(self, *, channels: Sequence[int], strides: Sequence[int]) -> DecoderModule:
        from segengine.nn.decoders.fusing import UperNet

        return UperNet(channels, strides, width=self.channels)


class SegFormer(Decoder):
    """SegFormer's decoder (Xie et al., 2021): a linear layer on each map from stride 4 on, joined at stride 4."""

    name: Literal["segformer"] = "segformer"
    channels: Channels = Field(default=256, description="channels of each map and of the result")

    def build(self, *, channels: Sequence[int], strides: Sequence[int]) -> DecoderModule:
        from segengine.nn.decoders.fusing import SegFormer

        return SegFormer(channels, strides, width=self.channels)
