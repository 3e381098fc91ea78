"""Checks of backbones: feature maps with the declared channels and strides, for any number of image channels.

If height and width are multiples of the deepest stride (`Segmenter` pads to them), a map has exactly H/stride x W/stride
pixels. For other sizes, each side is rounded down or up; a backbone may reject them by raising an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from segengine.errors import SpecError
from segengine.nn.contract_checks import backbone_problems, declared_problems
from segengine.testing.networks import Network, network_checks, seeded
from segengine.testing.subject import Check, Subject

if TYPE_CHECKING:
    from torch import Tensor

IN_CHANNELS = (1, 3, 4)
ODD = (65, 97)


def builds_for_all_channels(subject: Subject) -> Iterator[str]:
    """build() works on the CPU for images with 1, 3 and 4 channels, and the module declares its maps."""
    for in_channels in IN_CHANNELS:
        module = _built(subject, in_channels)
        found = list(declared_problems(module, in_channels))
        if found:
            yield from found
            return


def _built(subject: Subject, in_channels: int = 3, output_stride: int = 32) -> Any:
    with seeded(0):
        return subject.component.build(in_channels=in_channels, output_stride=output_stride)


def maps_are_as_declared(subject: Subject) -> Iterator[str]:
    """Maps have the declared channels and strides, for images with 1, 3 and 4 channels."""
    for in_channels in IN_CHANNELS:
        found = list(backbone_problems(_built(subject, in_channels), in_channels))
        if found:
            yield from found
            return


def odd_sizes_are_rounded(subject: Subject) -> Iterator[str]:
    """For sizes that are not multiples of the strides, each side of a map is rounded down or up."""
    import torch

    module, (height, width) = _built(subject).eval(), ODD
    try:
        with torch.inference_mode():
            maps = module(torch.rand(1, 3, height, width))
    except Exception:
        return  # a backbone may reject them: the segmenter pads to a multiple of the deepest stride
    for index, (tensor, stride) in enumerate(zip(maps, module.strides, strict=True)):
        sides = tuple(tensor.shape[-2:])
        allowed = [{size // stride, -(-size // stride)} for size in ODD]
        if not all(side in sizes for side, sizes in zip(sides, allowed, strict=True)):
            yield (
                f"map {index} of an image of {height}x{width} is {sides[0]}x{sides[1]}, which for stride {stride} is neither "
                f"rounded down nor up; pad inside forward(), or raise an error for such sizes"
            )


def output_strides_are_kept(subject: Subject) -> Iterator[str]:
    """An output stride of 16 or 8 is implemented, or rejected with a SpecError."""
    for output_stride in (16, 8):
        try:
            module = _built(subject, output_stride=output_stride)
        except SpecError:
            continue
        if max(module.strides) > output_stride:
            yield (
                f"build(output_stride={output_stride}) has strides {tuple(module.strides)}; dilate the last stages, or "
                f"raise SpecError if that is not possible"
            )
        else:
            yield from backbone_problems(module, 3, f" with output_stride={output_stride}")


def _network(subject: Subject) -> Network:
    import torch

    deepest = max(_built(subject).strides)

    def inputs(batch: int) -> list[Tensor]:
        return [torch.rand(batch, 3, 2 * deepest, 2 * deepest)]

    return Network(
        build=lambda: subject.component.build(in_channels=3, output_stride=32),
        inputs=inputs,
        call=lambda module, given: list(module(given[0])),
    )


CHECKS: tuple[Check, ...] = (
    builds_for_all_channels,
    maps_are_as_declared,
    odd_sizes_are_rounded,
    output_strides_are_kept,
    *network_checks(_network),
)
