"""timm feature extractors as backbones; network access only for pretrained weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch
from timm.models import FeatureListNet
from torch import Tensor, nn

from segengine.errors import RunError, SpecError
from segengine.nn.input_channels import IMAGENET_MEAN, IMAGENET_STD, statistics_for
from segengine.nn.recomputing import in_turn, recompute_whole
from segengine.nn.weights import load_backbone, read_weights
from segengine.registry import suggest

# Options that let transformers of a fixed image size accept any size (Swin; ViT).
_ANY_SIZE: tuple[Mapping[str, Any], ...] = ({"strict_img_size": False}, {"dynamic_img_size": True}, {})


class TimmBackbone(nn.Module):
    """Normalised float32 [B, C, H, W] -> feature maps [B, C, h, w] of a timm model created with `features_only`."""

    def __init__(self, net: nn.Module, in_channels: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.net = net
        info: Any = net.feature_info
        self.channels = tuple(info.channels())
        self.strides = tuple(info.reduction())
        self.mean = statistics_for(mean, in_channels)
        self.std = statistics_for(std, in_channels)
        self.recomputes = False
        self.channels_first = str(getattr(net, "output_fmt", None) or "NCHW").endswith("NCHW")

    def forward(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = _by_stages(self.net, x) if self.recomputes else self.net(x)
        return list(maps) if self.channels_first else [m.permute(0, 3, 1, 2) for m in maps]

    def recompute_stages(self) -> None:
        """Enable gradient checkpointing between stages or blocks, as far as timm exposes them."""
        if type(self.net) is FeatureListNet and not self.net.concat:
            self.recomputes = True
            return
        for part in _blocks(self.net) or [self.net]:
            recompute_whole(part)


def _by_stages(net: nn.Module, x: Any) -> list[Tensor]:
    """Forward pass of timm's FeatureListNet, recomputing the layers between two feature maps in the backward pass."""
    assert isinstance(net, FeatureListNet)
    maps: list[Tensor] = []
    layers: list[nn.Module] = []
    for name, layer in net.items():
        layers.append(layer)
        if name in net.return_layers:
            x, layers = in_turn(layers, x, again=True), []
            maps.append(x[0] if isinstance(x, tuple | list) else x)
    return maps


def _blocks(net: nn.Module) -> list[nn.Module]:
    """The sequential parts of a timm model (blocks of ViT, stages of Swin); empty if not exposed."""
    whole = getattr(net, "model", net)
    lists = (getattr(whole, name, None) for name in ("stages", "layers", "blocks"))
    found = next((each for each in lists if isinstance(each, nn.Sequential | nn.ModuleList)), None)
    parts = [part for each in found or () for part in (each if isinstance(each, nn.ModuleList) else (each,))]
    return [part for part in parts if next(part.parameters(), None) is not None]


def check_timm_model(model: str) -> None:
    """Check that this version of timm has `model` (`resnet34`, or with a tag, `resnet34.a1_in1k`).

    Raises:
        SpecError: unknown model; suggests the nearest name.
    """
    if not timm.is_model(model) or ":" in model:
        architecture = model.partition(".")[0]
        hint = suggest(architecture, timm.list_models()) or "timm.list_models() lists all"
        raise SpecError(f"timm {timm.__version__} has no model '{model}'; {hint}")
    try:
        timm.models.get_pretrained_cfg(model, allow_unregistered=False)
    except RuntimeError as error:
        architecture, _, tag = model.partition(".")
        known = [name.partition(".")[2] for name in timm.list_models(f"{architecture}.*", pretrained=True)]
        hint = suggest(tag, known) or f"known: {', '.join(known) or 'none'}"
        raise SpecError(f"timm's model {architecture} has no weights '{tag}'; {hint}") from error


def check_drop_path(model: str, drop_path: float) -> None:
    """Check that a timm model supports stochastic depth, by building it with random weights if `drop_path` is above 0.

    Raises:
        SpecError: unknown model, or no stochastic depth.
    """
    if drop_path:
        with torch.random.fork_rng(devices=[]):
            build_timm(model, in_channels=3, output_stride=32, weights="none", drop_path=drop_path)


def build_timm(
    model: str, *, in_channels: int, output_stride: int, weights: str, drop_path: float = 0.0
) -> TimmBackbone:
    """A timm model as a backbone.

    Args:
        weights: `none` (random), `pretrained` (timm's, downloaded) or the path of a file. Mean and std are those of the model's
            pretrained configuration in any case.
        drop_path: probability of skipping the deepest residual branch in training (stochastic depth, Huang et al., 2016); it
            increases linearly from 0 at the first branch.

    Raises:
        SpecError: unknown model, no feature maps, stochastic depth or output stride not supported, or a file that does not match.
        RunError: the pretrained weights cannot be downloaded.
    """
    check_timm_model(model)
    net = _create(model, in_channels, output_stride, pretrained=weights == "pretrained", drop_path=drop_path)
    if drop_path and not any(type(module).__name__.startswith("DropPath") for module in net.modules()):
        raise _no_drop_path(model)
    config = timm.models.get_pretrained_cfg(model)
    mean, std = (config.mean, config.std) if config else (IMAGENET_MEAN, IMAGENET_STD)
    backbone = TimmBackbone(net, in_channels, tuple(mean), tuple(std))
    if output_stride < 32 and max(backbone.strides) > output_stride:
        raise SpecError(_cannot_dilate(model, output_stride, max(backbone.strides)))
    if weights == "pretrained":
        record = _downloaded_record(model, len(net.state_dict()), adapted=in_channels != 3)
        backbone.initial_weights = record  # type: ignore[assignment]
    elif weights != "none":
        state = read_weights(weights)
        load_backbone(
            backbone, state, in_channels=in_channels, source=weights, whole_model=lambda: _keys_of_whole(model)
        )
    return backbone


def _keys_of_whole(model: str) -> list[str]:
    with torch.random.fork_rng(devices=[]):
        return list(timm.create_model(model, pretrained=False).state_dict())


def _create(model: str, in_channels: int, output_stride: int, *, pretrained: bool, drop_path: float = 0.0) -> nn.Module:
    dilated: dict[str, Any] = {"output_stride": output_stride} if output_stride != 32 else {}
    depth: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    for options in _ANY_SIZE:
        try:
            net: nn.Module = timm.create_model(
                model, features_only=True, pretrained=pretrained, in_chans=in_channels, **dilated, **depth, **options
            )
        except (TypeError, AssertionError) as error:
            if any(f"'{option}'" in str(error) for option in options):
                continue
            if dilated and ("'output_stride'" in str(error) or isinstance(error, AssertionError)):
                # Dilation isn't supported, but the model's deepest stride may be small enough.
                return _create(model, in_channels, 32, pretrained=pretrained, drop_path=drop_path)
            if depth and "'drop_path_rate'" in str(error):
                raise _no_drop_path(model) from error
            raise _no_features(model, error) from error
        except Exception as error:
            raise (_no_weights(model, error) if pretrained else _no_features(model, error)) from error
        return net
    raise AssertionError("the last options are empty")


def _no_features(model: str, error: Exception) -> SpecError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SpecError(f"timm model '{model}' can't be used as a backbone ({reason}); choose one with feature maps")


def _no_drop_path(model: str) -> SpecError:
    return SpecError(
        f"timm model '{model}' has no stochastic depth; omit drop_path, or choose a model that has it (resnet, convnext, "
        "efficientnet, swin)"
    )


def _no_weights(model: str, error: Exception) -> RunError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    address, licence = _origin(model)
    instruction = (
        f"download model.safetensors from {address}{f' ({licence})' if licence else ''} elsewhere"
        if address
        else "download its file elsewhere"
    )
    return RunError(
        f"the pretrained weights of timm model '{model}' can't be downloaded ({reason}); {instruction}, and specify its path "
        "(weights: path/to/model.safetensors) or add it to the store (segengine weights add); or use weights: none"
    )


def _origin(model: str) -> tuple[str, str]:
    """Address and licence of a model's pretrained weights; empty if unknown."""
    config = timm.models.get_pretrained_cfg(model)
    hub = config.hf_hub_id if config else None
    return (f"https://huggingface.co/{hub}" if hub else (config.url or "") if config else ""), (
        config.license or ""
    ) if config else ""


def _downloaded_record(model: str, tensors: int, *, adapted: bool) -> dict[str, Any]:
    """Record of timm's pretrained weights for run.json, as of a file (see `segengine.nn.weights`)."""
    address, licence = _origin(model)
    return {
        "file": f"timm {model}", "sha256": None, "licence": licence, "source": address, "tensors": tensors, "loaded": tensors,
        "missing": [], "unused": [], "first_layer_adapted": adapted,
    }  # fmt: skip


def _cannot_dilate(model: str, wanted: int, deepest: int) -> str:
    return (
        f"timm model '{model}' does not support an output stride of {wanted}, its deepest stride is {deepest}; set the decoder's "
        f"output_stride to {deepest}, or choose a backbone that can be dilated (resnet, convnext, efficientnet, vgg)"
    )
