"""The complete pyramid from maps at any strides."""

import pytest
import torch

from segengine.errors import SpecError
from segengine.nn.decoders.pyramid import pyramid


def test_levels_that_a_backbone_lacks_are_empty():
    levels = pyramid((40, 80), (4, 8))
    assert levels.channels == (0, 0, 40, 80)
    assert not levels.full_size
    maps, size = levels.levels([torch.ones(2, 40, 6, 4), torch.ones(2, 80, 3, 2)])
    assert [tuple(m.shape) for m in maps] == [(2, 0, 24, 16), (2, 0, 12, 8), (2, 40, 6, 4), (2, 80, 3, 2)]
    assert size == (24, 16)


def test_the_last_of_several_maps_at_one_stride_is_taken():
    levels = pyramid((8, 16, 32, 64), (2, 4, 8, 8))
    assert levels.channels == (0, 8, 16, 64)
    assert levels.sources == (None, 0, 1, 3)


def test_maps_that_do_not_halve_exactly_are_extended_by_their_border():
    full, half, quarter = (torch.rand(1, 1, n, n) for n in (7, 4, 2))
    maps, size = pyramid((1, 1, 1), (1, 2, 4)).levels([full, half, quarter])
    assert [m.shape[-1] for m in maps] == [8, 4, 2]
    assert size == (8, 8)
    assert torch.equal(maps[0][..., :7, :7], full)
    assert torch.equal(maps[0][..., 7, :7], full[..., 6, :])


def test_exact_maps_are_passed_on_untouched():
    given = [torch.rand(1, 2, 8, 4), torch.rand(1, 2, 4, 2)]
    maps, _ = pyramid((2, 2), (1, 2)).levels(given)
    assert maps[0] is given[0]
    assert maps[1] is given[1]


@pytest.mark.parametrize("strides", [(14,), (4, 12), (1,)])
def test_strides_that_cannot_be_doubled_are_refused(strides):
    with pytest.raises(
        SpecError, match=r"does not support a backbone with strides .*; choose fpn, upernet or segformer"
    ):
        pyramid([8] * len(strides), strides)
