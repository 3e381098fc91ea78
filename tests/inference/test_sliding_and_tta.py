"""Tiles and test-time augmentation on toy networks whose answers are known."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from segengine.engine.sliding import Tiling, sliding_classes, weighted_bands
from segengine.errors import SpecError
from segengine.inference.tta import Views

CPU = torch.device("cpu")


def pointwise(tiles: Tensor) -> Tensor:
    """Three probabilities of each pixel's value."""
    x = tiles[:, :1].float() / 255
    return torch.cat([x, (1 - x) * 0.25, (1 - x) * 0.75], dim=1)


def local(tiles: Tensor) -> Tensor:
    """A network that looks one pixel around, and treats left and right, up and down alike."""
    return pointwise(max_pool2d(tiles[:, :1].float(), 3, 1, 1))


def image(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (1, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def tiled(network, pixels: Tensor, tiling: Tiling) -> Tensor:
    bands = weighted_bands(network, lambda top, bottom: pixels[:, top:bottom], tuple(pixels.shape[1:]), tiling, CPU)
    return torch.cat([sums.clone() / sums.sum(0) for sums in bands], dim=1)


@pytest.mark.parametrize("size", [(1, 1), (7, 200), (64, 64), (65, 63), (129, 257), (200, 33)])
@pytest.mark.parametrize(
    "tiling",
    [
        Tiling(64),
        Tiling(64, 0.25),
        Tiling(64, 0.0, "uniform"),
        Tiling(64, 0.75, "uniform", 3),
        Tiling(48, 0.9, "gaussian", 2),
    ],
    ids=str,
)
def test_tiles_of_a_pointwise_network_equal_one_pass(size: tuple[int, int], tiling: Tiling) -> None:
    pixels = image(*size)
    assert torch.allclose(tiled(pointwise, pixels, tiling), pointwise(pixels[None])[0], atol=1e-6)


def test_a_tile_that_covers_the_image_is_one_pass() -> None:
    pixels = image(50, 61)
    assert torch.equal(tiled(local, pixels, Tiling(61, weights="uniform")).argmax(0), local(pixels[None])[0].argmax(0))


def test_a_constant_network_gives_a_constant_image() -> None:
    constant = tiled(
        lambda t: torch.tensor([0.2, 0.7, 0.1])[None, :, None, None].expand(len(t), 3, *t.shape[2:]),
        image(150, 90),
        Tiling(32),
    )
    assert torch.allclose(constant, torch.tensor([0.2, 0.7, 0.1])[:, None, None].expand_as(constant))


def test_tiles_differ_from_one_pass_only_within_the_receptive_field_of_seams() -> None:
    """Without overlap one pixel on each side of a seam misses its neighbour; with overlap its weight is small."""
    pixels = image(256, 256)
    whole = local(pixels[None])[0].argmax(0)
    cut = (tiled(local, pixels, Tiling(64, 0.0, "uniform")).argmax(0) != whole).float().mean()
    overlapping = (tiled(local, pixels, Tiling(64, 0.25)).argmax(0) != whole).float().mean()
    assert overlapping < cut / 10
    assert overlapping < 0.001


def test_classes_of_large_images_are_those_of_before() -> None:
    """The former loop, tile by tile, with sums concatenated."""
    from segengine.engine.sliding import gaussian, spread

    pixels, tile = image(150, 140, 3), 64
    sums, weights = torch.zeros(3, 150, 140), gaussian(tile, CPU)
    for top in spread(150, tile):
        for left in spread(140, tile):
            part = pixels[None, :, top : top + tile, left : left + tile]
            sums[:, top : top + tile, left : left + tile] += (5 * local(part))[0].softmax(0) * weights
    found = sliding_classes(lambda x: 5 * local(x), pixels, tile, CPU)
    assert torch.equal(found, sums.max(0).indices.byte())


@pytest.mark.parametrize("text", ["flips", "rotations", "flips,rotations"])
@pytest.mark.parametrize("size", [(9, 9), (8, 13), (1, 5)])
def test_views_of_an_equivariant_network_are_the_plain_prediction(text: str, size: tuple[int, int]) -> None:
    pixels = image(*size)[None]
    plain = local(pixels)
    assert torch.allclose(Views.parse(text).mean(local, pixels), plain, atol=1e-6)


@pytest.mark.parametrize("text", ["flips", "rotations", "flips,rotations"])
def test_each_view_is_inverted_exactly_and_no_two_are_equal(text: str) -> None:
    """The identity as a network gives the image back to the last bit, whatever is done to it."""
    pixels, views = image(5, 7)[None], Views.parse(text)
    seen: list[bytes] = []

    def remember(view: Tensor) -> Tensor:
        seen.append(bytes(str(view.tolist()), "ascii"))
        return view.float()

    assert torch.equal(views.mean(remember, pixels), pixels.float())
    assert len(set(seen)) == len(seen) == len(views) == {"flips": 4, "rotations": 4, "flips,rotations": 8}[text]


def test_views_make_any_network_equivariant() -> None:
    def sided(tiles: Tensor) -> Tensor:
        return pointwise(torch.roll(tiles, 1, dims=3))

    pixels, views = image(12, 12)[None], Views.parse("flips,rotations")
    found = views.mean(sided, pixels)
    assert torch.allclose(views.mean(sided, pixels.rot90(1, (2, 3))), found.rot90(1, (2, 3)), atol=1e-6)
    assert not torch.allclose(sided(pixels), found, atol=1e-3)


def test_scales_keep_size_and_sum_and_a_constant_image() -> None:
    views = Views.parse("scale=0.5,1,1.5")
    assert views.scales == (0.5, 1.0, 1.5)
    found = views.mean(local, image(33, 20)[None])
    assert found.shape == (1, 3, 33, 20)
    assert torch.allclose(found.sum(1), torch.ones(1, 33, 20), atol=1e-5)
    flat = torch.full((1, 1, 21, 30), 90, dtype=torch.uint8)
    assert torch.allclose(views.mean(local, flat), local(flat), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flip", "'flip' is unknown"),
        ("scale=0", "is no scale from 0.1 to 10"),
        ("scale=1,nan", "is no scale"),
        ("flips,scale=x", "no scale"),
    ],
)
def test_wrong_views_are_named(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Views.parse(text)


def test_no_views_are_the_image_alone() -> None:
    assert Views.parse("").plain
    assert Views.parse("none").plain
    assert Views.parse("scale=1").plain
    assert not Views.parse("scale=0.5").plain
