"""The built-in geometric transforms and what a pipeline makes of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segengine.data.augment.geometric import Crop, Flip, MultiScale, Rotate
from segengine.data.augment.transforms import GeometricTransform, PixelTransform
from segengine.data.augment.warp import warp_mask


def rng(seed=0):
    return np.random.default_rng(seed)


def test_multi_scale_rescales_the_longer_side_and_keeps_the_aspect_ratio():
    geometry = MultiScale(256, (0.5, 0.5), (256, 256)).draw(rng(), 300, 600)
    assert geometry.matrix[0, 0] == pytest.approx(600 / 128)
    assert geometry.matrix[1, 1] == pytest.approx(300 / 64)
    shown = warp_mask(np.zeros((300, 600), np.uint8), geometry) == 0
    assert (shown.any(axis=1).sum(), shown.any(axis=0).sum()) == (64, 128)


def test_multi_scale_draws_every_scale_of_its_range_and_none_outside():
    transform = MultiScale(100, (0.5, 1.5), (32, 32))
    draws = rng()
    widths = [200 / transform.draw(draws, 100, 200).matrix[0, 0] for _ in range(500)]
    assert 50 <= min(widths) < 55
    assert 145 < max(widths) <= 150
    assert abs(np.mean(widths) - 100) < 5


def test_a_window_lies_anywhere_inside_of_a_larger_image():
    draws = rng()
    corners = {tuple(Crop((8, 8)).draw(draws, 10, 9).matrix[[1, 0], 2]) for _ in range(200)}
    assert corners == {(top, left) for top in (0, 1, 2) for left in (0, 1)}


def test_a_smaller_image_lies_anywhere_inside_of_the_window():
    draws = rng()
    corners = {tuple(Crop((8, 8)).draw(draws, 6, 7).matrix[[1, 0], 2]) for _ in range(200)}
    assert corners == {(-top, -left) for top in (0, 1, 2) for left in (0, 1)}


def test_a_centred_crop_is_centred_and_draws_nothing():
    before, draws = rng(), rng()
    assert Crop((4, 20), "centre").draw(draws, 10, 10).matrix[[1, 0], 2].tolist() == [3, -5]
    assert draws.random() == before.random()


def test_flip_follows_its_probabilities():
    draws = rng()
    signs = np.array([np.diag(Flip(0.25, 0.0).draw(draws, 5, 6).matrix)[:2] for _ in range(2000)])
    assert 0.22 < (signs[:, 0] == -1).mean() < 0.28
    assert (signs[:, 1] == 1).all()


def test_rotate_draws_angles_of_its_range_with_its_probability():
    draws = rng()
    geometries = [Rotate((5, 20), 0.5).draw(draws, 50, 50).matrix for _ in range(1000)]
    angles = np.degrees([np.arctan2(matrix[1, 0], matrix[0, 0]) for matrix in geometries])
    turned = angles[angles != 0]
    assert 0.45 < len(turned) / 1000 < 0.55
    assert 5 <= turned.min() < 5.5
    assert 19.5 < turned.max() <= 20


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(0, 2**32),
    st.sampled_from(
        [
            MultiScale(40, (0.5, 1.5), (24, 20)),
            Crop((24, 20)),
            Crop((24, 20), "centre"),
            Rotate((-180, 180)),
            Flip(1, 1),
        ]
    ),
)
def test_every_transform_keeps_a_mask_of_one_class_and_states_its_size(height, width, seed, transform):
    geometry = transform.draw(rng(seed), height, width)
    mask = warp_mask(np.full((height, width), 3, np.uint8), geometry)
    assert set(np.unique(mask)) <= {3, 255}
    assert 3 in mask
    assert mask.shape == (transform.size or (height, width))


def test_geometric_transforms_are_no_pixel_transforms():
    for transform in (MultiScale(40, (0.5, 1.5), (24, 20)), Crop((1, 1)), Rotate((0, 1)), Flip(1, 1)):
        assert isinstance(transform, GeometricTransform)
        assert not isinstance(transform, PixelTransform)
