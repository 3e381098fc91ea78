"""From any backbone's maps to a complete pyramid: one level for each power of two from stride 1 to the deepest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from segengine.errors import SpecError


@dataclass(frozen=True)
class Pyramid:
    """Which map stands at which level: `channels[k]` and `sources[k]` are of stride 2**k; 0 and None where none is.

    Of several maps with one stride (dilated backbones) the last is taken: it has seen the others.
    """

    channels: tuple[int, ...]
    sources: tuple[int | None, ...]

    @property
    def doublings(self) -> int:
        """How often the deepest level is doubled to reach stride 1."""
        return len(self.channels) - 1

    @property
    def full_size(self) -> bool:
        """Whether the backbone gives a map at stride 1, as VGG does."""
        return self.channels[0] > 0

    def levels(self, features: Sequence[Tensor]) -> tuple[list[Tensor], tuple[int, int]]:
        """All levels from stride 1 to the deepest, each exactly twice as large as the next, and the size at stride 1.

        Maps whose sizes don't halve exactly (an image that is no multiple of the deepest stride) are extended at the
        bottom and the right by their last row and column; what comes out is to be cropped to the returned size.
        Levels that the backbone lacks have no channels.
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
        SpecError: a stride that is no power of two, or none above 1.
    """
    odd = [stride for stride in strides if stride < 1 or stride & (stride - 1)]
    if odd or max(strides) < 2:
        raise SpecError(
            f"this decoder doubles sizes and can't use a backbone with strides {', '.join(map(str, strides))}; "
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
