"""VGG (Simonyan and Zisserman, 2015) as a backbone: six maps at strides 1 to 32, with torchvision's parameter names."""

from __future__ import annotations

from urllib.error import URLError

from torch import Tensor, nn

from segengine.errors import RunError, SpecError
from segengine.nn.input_channels import IMAGENET_MEAN, IMAGENET_STD, statistics_for
from segengine.nn.recomputing import in_turn
from segengine.nn.sparing import sparingly
from segengine.nn.weights import load_backbone, read_weights

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


class Vgg(nn.Module):
    """Normalised float32 [B, C, H, W] -> six feature maps: each stage before its pooling, and the last pooling.

    With an output stride of 16 or 8 the last one or two poolings have stride 1 (3x3) and the convolutions after the first of
    them are dilated by 2 (Chen et al., 2015); parameter names and shapes are unchanged.
    """

    def __init__(self, depth: int, *, batch_norm: bool, in_channels: int, output_stride: int = 32) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise SpecError(f"vgg has no output stride {output_stride}; choose 8, 16 or 32")
        layers: list[nn.Module] = []
        self.taps: list[int] = []
        self.recomputes = False
        strides, stride, dilation, channels = [], 1, 1, in_channels
        for convolutions, width in zip(CONVOLUTIONS[depth], WIDTHS, strict=True):
            for _ in range(convolutions):
                layers.append(nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation))
                layers += [nn.BatchNorm2d(width)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                channels = width
            self.taps.append(len(layers) - 1)
            strides.append(stride)
            if stride < output_stride:
                layers.append(nn.MaxPool2d(2, 2))
                stride *= 2
            else:
                layers.append(nn.MaxPool2d(3, 1, padding=1))
                dilation = 2
        self.taps.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.channels: tuple[int, ...] = (*WIDTHS, WIDTHS[-1])
        self.strides: tuple[int, ...] = (*strides, stride)
        self.mean = statistics_for(IMAGENET_MEAN, in_channels)
        self.std = statistics_for(IMAGENET_STD, in_channels)
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> list[Tensor]:
        maps, layers, begin = [], list(self.features), 0
        for tap in self.taps:
            stage = layers[begin : tap + 1]
            x = in_turn(stage, x, again=True) if self.recomputes else sparingly(stage, x)
            maps.append(x)
            begin = tap + 1
        return maps

    def recompute_stages(self) -> None:
        """Enable gradient checkpointing: only the feature maps and the input are stored."""
        self.recomputes = True


def build_vgg(depth: int, *, batch_norm: bool, in_channels: int, output_stride: int, weights: str) -> Vgg:
    """A VGG backbone.

    Args:
        weights: `none` (random), `pretrained` (torchvision's for ImageNet, downloaded) or the path of a file.

    Raises:
        SpecError: unsupported output stride, or a weight file that does not match.
        RunError: the pretrained weights cannot be downloaded.
    """
    backbone = Vgg(depth, batch_norm=batch_norm, in_channels=in_channels, output_stride=output_stride)
    if weights == "pretrained":
        load_backbone(backbone, _downloaded(depth, batch_norm), in_channels=in_channels, source="torchvision's file")
    elif weights != "none":
        load_backbone(backbone, read_weights(weights), in_channels=in_channels, source=weights)
    return backbone


def _downloaded(depth: int, batch_norm: bool) -> dict[str, Tensor]:
    from torchvision.models import get_weight

    name = f"VGG{depth}{'_BN' if batch_norm else ''}"
    weights = get_weight(f"{name}_Weights.IMAGENET1K_V1")
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(
            f"the pretrained weights of {name} can't be downloaded ({reason}); download {weights.url} elsewhere, and specify its path "
            f"(weights: path/to/{weights.url.rpartition('/')[2]}) or add it to the store (segengine weights add); or use weights: none"
        ) from error
    return state
