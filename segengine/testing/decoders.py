"""Checks of decoders: they accept the feature pyramids of common backbones and declare the shape of their output.

Feature maps belong to an image of 64 x 96 pixels; strides are limited to the decoder's `wanted_stride`. A decoder may reject
a pyramid with a SpecError, but not all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from segengine.errors import SpecError
from segengine.nn.contract_checks import DECODER, module_problems, shape_problems
from segengine.testing.networks import (
    Network,
    gradient_reaches_every_parameter,
    network_checks,
    seeded,
)
from segengine.testing.subject import Check, Subject

if TYPE_CHECKING:
    from torch import Tensor

PYRAMIDS = {
    "ResNet": ((8, 8, 12, 16, 20), (2, 4, 8, 16, 32)),
    "VGG": ((8, 12, 16, 20, 24, 24), (1, 2, 4, 8, 16, 32)),
    "ConvNeXt": ((8, 12, 16, 20), (4, 8, 16, 32)),
}
"""Backbone -> channels (fewer than the real ones) and strides."""

HEIGHT, WIDTH = 64, 96
_Pyramid = tuple[tuple[int, ...], tuple[int, ...]]


def fits_a_pyramid(subject: Subject) -> Iterator[str]:
    """build() works for the feature maps of a ResNet, a VGG or a ConvNeXt, and the module declares its output."""
    wanted = subject.component.wanted_stride
    if wanted not in (8, 16, 32):
        yield f"wanted_stride is {wanted!r}; set it to 32, 16 or 8"
        return
    built = list(_all_built(subject))
    if not built:
        yield f"build() rejects the feature maps of all tested backbones ({', '.join(PYRAMIDS)}); support at least one"
    for _, module, _ in built:
        yield from module_problems(module, DECODER)


def _all_built(subject: Subject) -> Iterator[tuple[str, Any, _Pyramid]]:
    for name in PYRAMIDS:
        pyramid = _pyramid(subject, name)
        try:
            with seeded(0):
                module = subject.component.build(channels=pyramid[0], strides=pyramid[1])
        except SpecError:
            continue
        yield name, module, pyramid


def _pyramid(subject: Subject, name: str) -> _Pyramid:
    channels, strides = PYRAMIDS[name]
    return channels, tuple(min(stride, subject.component.wanted_stride) for stride in strides)


def _maps(pyramid: _Pyramid, batch: int) -> list[Tensor]:
    import torch

    return [torch.rand(batch, c, HEIGHT // s, WIDTH // s) for c, s in zip(*pyramid, strict=True)]


def results_are_as_declared(subject: Subject) -> Iterator[str]:
    """The output has the declared channels and stride, for each pyramid."""
    import torch

    for name, module, pyramid in _all_built(subject):
        given = _maps(pyramid, 2)
        with torch.inference_mode():
            result = module.eval()(given)
        wanted = (2, module.out_channels, HEIGHT // module.stride, WIDTH // module.stride)
        yield from shape_problems(f"the output for the maps of a {name} ({HEIGHT}x{WIDTH})", result, wanted)
        if len(given) != len(pyramid[0]):
            yield "forward() modifies the input list of maps; copy it first"


def _network_on(name: str, subject: Subject) -> Network:
    pyramid = _pyramid(subject, name)
    return Network(
        build=lambda: subject.component.build(channels=pyramid[0], strides=pyramid[1]),
        inputs=lambda batch: _maps(pyramid, batch),
        call=lambda module, given: [module(list(given))],
    )


def _first_fitting(subject: Subject) -> Network:
    return _network_on(next(_all_built(subject))[0], subject)


def gradients_on_the_others(subject: Subject) -> Iterator[str]:
    """The gradient reaches every parameter, for each pyramid."""
    for name, _, _ in list(_all_built(subject))[1:]:
        yield from gradient_reaches_every_parameter(_network_on(name, subject))


def auxiliary_heads_fit(subject: Subject) -> Iterator[str]:
    """Inner maps for auxiliary heads, if the decoder has any, have the declared channels, for each pyramid and odd sizes."""
    import torch

    for name, module, (channels, strides) in _all_built(subject):
        declared = tuple(getattr(module, "inner_channels", ()))
        for height, width in ((HEIGHT, WIDTH), (HEIGHT - 3, WIDTH - 5)) if declared else ():
            given = [torch.rand(2, c, -(-height // s), -(-width // s)) for c, s in zip(channels, strides, strict=True)]
            with torch.no_grad():
                result, inner = module.train().with_inner(list(given))
            where = f"for the maps of a {name} ({height}x{width})"
            if [m.shape[1] for m in inner] != list(declared) or min(declared) < 1:
                yield f"inner maps have {[m.shape[1] for m in inner]} channels {where}, but inner_channels is {list(declared)}"
            elif any(m.shape[-1] * (result.shape[-1] // m.shape[-1]) > width + max(strides) for m in inner):
                yield f"inner maps are larger than the output {where}; crop them in the same way"


CHECKS: tuple[Check, ...] = (
    fits_a_pyramid,
    auxiliary_heads_fit,
    results_are_as_declared,
    *network_checks(_first_fitting),
    gradients_on_the_others,
)
