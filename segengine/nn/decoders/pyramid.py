"""Complete feature pyramid from the maps of any backbone: one level per power of two from stride 1 to the deepest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from segengine.errors import SpecError


@dataclass(frozen=True)
class Pyramid:
    """Assignment of feature maps to levels.

    Level k has stride 2**k, `channels[k]` channels and the backbone's map `sources[k]`; 0 and None if there is no such map. Of
    several maps with the same stride (dilated backbones), the last one is used, because it is computed from the others.
    """

    channels: tuple[int, ...]
    sources: tuple[int | None, ...]

    @property
    def doublings(self) -> int:
        """Number of upsampling steps by 2 from the deepest level to stride 1."""
        return len(self.channels) - 1

    @property
    def full_size(self) -> bool:
        """Whether the backbone has a map at stride 1, such as VGG."""
        return self.channels[0] > 0

    def levels(self, features: Sequence[Tensor]) -> tuple[list[Tensor], tuple[int, int]]:
        """All levels from stride 1 to the deepest, each exactly twice as large as the next, and the size at stride 1.

        If an image's size is not a multiple of the deepest stride, maps are padded at the bottom and the right by replication, and
        the decoder's output must be cropped to the returned size. Levels without a backbone map have no channels.
        """
        present = [(k, features[source]) for k, source in enumerate(self.sources) if source is not None]
        height = max(feature.shape[2] << k for k, feature in present)
        width = max(feature.shape[3] << k for k, feature in present)
        deepest = 1 << self.doublings
        padded = (-(-height // deepest) * deepest, -(-width // deepest) * deepest)
        some = present[0][1]
        levels = []
        for k, source in enumerate(self.sources):
            h, w = padded[0] >> k, padded[1] >> k
            if source is None:
                levels.append(some.new_empty(some.shape[0], 0, h, w))
            else:
                levels.append(_extended(features[source], h, w))
        return levels, (height, width)


def pyramid(channels: Sequence[int], strides: Sequence[int]) -> Pyramid:
    """The pyramid of a backbone with these channels and strides.

    Raises:
        SpecError: a stride is not a power of two, or all strides are 1.
    """
    odd = [stride for stride in strides if stride < 1 or stride & (stride - 1)]
    if odd or max(strides) < 2:
        raise SpecError(
            f"this decoder upsamples by 2 and does not support a backbone with strides {', '.join(map(str, strides))}; "
            f"choose fpn, upernet or segformer"
        )
    levels = max(strides).bit_length()
    sources: list[int | None] = [None] * levels
    for index, stride in enumerate(strides):
        sources[stride.bit_length() - 1] = index
    return Pyramid(tuple(0 if source is None else channels[source] for source in sources), tuple(sources))


def _extended(feature: Tensor, height: int, width: int) -> Tensor:
    bottom, right = height - feature.shape[2], width - feature.shape[3]
    return F.pad(feature, (0, right, 0, bottom), mode="replicate") if bottom or right else feature
