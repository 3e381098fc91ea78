from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segengine.engine.sliding import gaussian, sliding_classes, sliding_probabilities, spread


@given(length=st.integers(1, 500), tile=st.integers(1, 200))
def test_tiles_cover_everything_and_the_last_touches_the_border(length: int, tile: int) -> None:
    firsts = spread(length, tile)
    covered = {x for first in firsts for x in range(first, min(first + tile, length))}
    assert covered == set(range(length))
    assert firsts[-1] + min(tile, length) == length
    gaps = [b - a for a, b in pairwise(firsts)]
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_weights_are_a_gaussian_of_an_eighth_of_the_tile() -> None:
    weights = gaussian(64, torch.device("cpu"))
    for row, column in ((0, 0), (31, 31), (31, 40), (20, 63)):
        squares = (row - 31.5) ** 2 + (column - 31.5) ** 2
        assert float(weights[row, column]) == pytest.approx(math.exp(-squares / (2 * 8**2)), rel=1e-4)


def test_of_a_tall_image_only_the_sums_of_a_band_are_held() -> None:
    def network(images: torch.Tensor) -> torch.Tensor:
        return torch.zeros(1, 3, *images.shape[2:])

    bands = sliding_probabilities(network, torch.zeros(1, 1000, 45, dtype=torch.uint8), 32, torch.device("cpu"))
    held = [tuple(band.shape) for band in bands]
    assert sum(rows for _, rows, _ in held) == 1000
    assert all((classes, width) == (3, 45) and rows <= 32 for classes, rows, width in held)


def test_weights_are_positive_everywhere() -> None:
    weights = gaussian(512, torch.device("cpu"))
    assert weights.min() > 0
    assert weights.argmax() in (512 * 255 + 255, 512 * 255 + 256, 512 * 256 + 255, 512 * 256 + 256)


@settings(deadline=None, max_examples=25)
@given(height=st.integers(5, 60), width=st.integers(5, 60))
def test_a_network_of_single_pixels_gives_the_same_in_tiles_as_whole(height: int, width: int) -> None:
    image = torch.randint(
        0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(height * 61 + width)
    )

    def pixelwise(images: torch.Tensor) -> torch.Tensor:
        return images.float() / 32

    whole = pixelwise(image[None]).max(1).indices[0].to(torch.uint8)
    assert torch.equal(sliding_classes(pixelwise, image, 16, torch.device("cpu")), whole)


def test_a_constant_network_gives_a_constant_image() -> None:
    def constant(images: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.0, 2.0, 1.0])[None, :, None, None].expand(len(images), 3, *images.shape[2:])

    classes = sliding_classes(constant, torch.zeros(1, 70, 45, dtype=torch.uint8), 32, torch.device("cpu"))
    assert classes.shape == (70, 45)
    assert bool((classes == 1).all())


@pytest.mark.parametrize("size", [(40, 30), (16, 16)])
def test_a_tile_at_least_as_large_as_the_image_is_one_pass(size: tuple[int, int]) -> None:
    calls = []

    def network(images: torch.Tensor) -> torch.Tensor:
        calls.append(images.shape)
        return images.float().cumsum(2).cumsum(3).expand(-1, 2, -1, -1)

    sliding_classes(network, torch.ones(1, *size, dtype=torch.uint8), 40, torch.device("cpu"))
    assert calls == [torch.Size([1, 1, *size])]
