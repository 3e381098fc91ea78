"""Checks of the declared shapes of backbones and decoders, before training and in conformance checks. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

BACKBONE = {
    "channels": "a tuple, channels per map",
    "strides": "a tuple, ascending",
    "mean": "a tuple, one value per input channel, for images in 0..1",
    "std": "a tuple, one value per input channel, for images in 0..1",
}
"""Attributes of a backbone module."""
DECODER = {"out_channels": "a number", "stride": "a number, 1 for the image's full size"}
"""Attributes of a decoder module."""


def module_problems(module: object, attributes: dict[str, str]) -> list[str]:
    """Problems unless `module` is a torch module with these attributes (name -> meaning)."""
    from torch import nn

    if not isinstance(module, nn.Module):
        return [f"build() returns {type(module).__name__}; return a torch.nn.Module"]
    return [
        f"the module has no attribute `{name}` ({holds}); set it in __init__"
        for name, holds in attributes.items()
        if not hasattr(module, name)
    ]


def declared_problems(module: Any, in_channels: int) -> Iterator[str]:
    """Problems of a backbone's declared attributes."""
    missing = module_problems(module, BACKBONE)
    if missing:
        yield from missing
        return
    channels, strides = tuple(module.channels), tuple(module.strides)
    if not channels or len(channels) != len(strides):
        yield f"`channels` has {len(channels)} values and `strides` {len(strides)}; declare one of each per map"
    if not all(isinstance(n, int) and n > 0 for n in (*channels, *strides)):
        yield f"channels {channels} and strides {strides} must be positive integers"
    if list(strides) != sorted(strides):
        yield f"strides {strides} must be ascending; return the finest map first"
    for name in ("mean", "std"):
        values = tuple(getattr(module, name))
        if len(values) != in_channels:
            yield f"`{name}` has {len(values)} values for {in_channels} channels; set one per channel"
        elif name == "std" and not all(value > 0 for value in values):
            yield f"`std` is {values}; all values must be positive"


def backbone_problems(module: Any, in_channels: int, when: str = "") -> Iterator[str]:
    """Problems unless the maps of a small batch have the declared channels and strides; the module's mode is kept."""
    import torch

    deepest = max(module.strides)
    height, width = 2 * deepest, 3 * deepest
    maps = evaluated(module, torch.rand(2, in_channels, height, width))
    if not isinstance(maps, list | tuple) or len(maps) != len(module.strides):
        number = len(maps) if isinstance(maps, list | tuple) else type(maps).__name__
        yield f"forward() returns {number} maps{when}, but {len(module.strides)} are declared; return a list, finest first"
        return
    for index, (tensor, channels, stride) in enumerate(zip(maps, module.channels, module.strides, strict=True)):
        wanted = (2, channels, height // stride, width // stride)
        yield from shape_problems(f"map {index} of an image of {height}x{width}{when}", tensor, wanted)


def decoder_problems(module: Any, channels: Sequence[int], strides: Sequence[int]) -> Iterator[str]:
    """Problems unless the output for a small batch of maps has the declared channels and stride."""
    import torch

    missing = module_problems(module, DECODER)
    if missing:
        yield from missing
        return
    height, width = 2 * max(strides), 3 * max(strides)
    maps = [torch.rand(2, c, height // s, width // s) for c, s in zip(channels, strides, strict=True)]
    wanted = (2, module.out_channels, height // module.stride, width // module.stride)
    yield from shape_problems(f"the output for an image of {height}x{width}", evaluated(module, maps), wanted)


def evaluated(module: nn.Module, given: Any) -> Any:
    """Output of a forward pass in evaluation mode without gradients; the module's mode is restored."""
    import torch

    training = module.training
    try:
        with torch.inference_mode():
            return module.eval()(given)
    finally:
        module.train(training)


def shape_problems(what: str, tensor: Any, wanted: tuple[int, ...]) -> list[str]:
    """Problems unless `tensor` is a float32 tensor of this shape."""
    import torch

    if not isinstance(tensor, torch.Tensor):
        return [f"{what} is {type(tensor).__name__}; return a tensor"]
    if tensor.dtype != torch.float32:
        return [f"{what} is {tensor.dtype}; return float32"]
    if tuple(tensor.shape) != wanted:
        return [
            f"{what} has shape {list(tensor.shape)}, declared is {list(wanted)}; correct the declaration or forward()"
        ]
    return []
