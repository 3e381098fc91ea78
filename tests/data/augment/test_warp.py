"""Geometry and the warp: aligned, centred, exact where nothing needs interpolation, ignored outside."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segengine.data.augment.geometry import Geometry, cropped, flipped, identity, resized, rotated
from segengine.data.augment.warp import warp_image, warp_mask
from segengine.errors import DataError

RNG = np.random.default_rng(0)
MASK = RNG.integers(0, 11, (360, 480), dtype=np.uint8)
IMAGE = RNG.integers(0, 256, (360, 480, 3), dtype=np.uint8)


def sheared(height, width):
    return Geometry(np.array([[0.9, 0.2, 3.3], [-0.1, 1.1, -7.7], [0, 0, 1]]), height, width)


def slow_nearest(mask, geometry):
    """Centred nearest, pixel by pixel in float64; half a pixel rounds up."""
    y, x = np.mgrid[: geometry.height, : geometry.width].astype(float)
    xs, ys, _ = np.einsum("ij,jhw->ihw", geometry.matrix, np.stack([x, y, np.ones_like(x)]))
    columns, rows = np.floor(xs + 0.5 + 1e-9).astype(int), np.floor(ys + 0.5 + 1e-9).astype(int)
    inside = (columns >= 0) & (rows >= 0) & (columns < mask.shape[1]) & (rows < mask.shape[0])
    found = mask[rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1)]
    return np.where(inside, found, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "geometry",
    [
        resized(360, 480, to=(468, 624)),
        resized(360, 480, to=(180, 240)),
        resized(360, 480, to=(277, 370)),
        resized(360, 480, to=(120, 160)).then(cropped(-60, -50, to=(256, 256))),
        rotated(360, 480, degrees=10),
        rotated(360, 480, degrees=-33.3),
        rotated(360, 480, degrees=45),
        rotated(360, 480, degrees=90),
        sheared(300, 500),
        resized(360, 480, to=(277, 370)).then(cropped(20, 30, to=(256, 256))).then(rotated(256, 256, degrees=171)),
    ],
)
def test_masks_follow_centred_nearest(geometry):
    assert (warp_mask(MASK, geometry) == slow_nearest(MASK, geometry)).mean() >= 0.9999


def slow_bilinear(image, geometry):
    """Bilinear, pixel by pixel in float64; edge pixels are repeated within half a pixel outside."""
    y, x = np.mgrid[: geometry.height, : geometry.width].astype(float)
    xs, ys, _ = np.einsum("ij,jhw->ihw", geometry.matrix, np.stack([x, y, np.ones_like(x)]))
    left, top = np.floor(xs).astype(int), np.floor(ys).astype(int)
    across, down = (xs - left)[..., None], (ys - top)[..., None]

    def at(rows, columns):
        return image[rows.clip(0, image.shape[0] - 1), columns.clip(0, image.shape[1] - 1)].astype(float)

    above = at(top, left) * (1 - across) + at(top, left + 1) * across
    below = at(top + 1, left) * (1 - across) + at(top + 1, left + 1) * across
    return above * (1 - down) + below * down


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("scale", "top", "left"), [(1.5, 90, 150), (1.0, 50, 100), (0.5, -40, -8), (0.4, 30, 60)])
@pytest.mark.parametrize("degrees", [12, -75, 179])
def test_images_are_bilinear_to_one_gray_level_wherever_the_window_lies(channels, scale, top, left, degrees):
    scaled = round(360 * scale), round(480 * scale)
    window = resized(360, 480, to=scaled).then(cropped(top, left, to=(256, 250)))
    geometry = window.then(rotated(256, 250, degrees=degrees))
    source = cv2.GaussianBlur(IMAGE, (0, 0), 1.5)  # on noise, OpenCV's own rounding of places is seen
    source = np.dstack([source, source[..., :1]])[..., :channels]
    warped = warp_image(np.ascontiguousarray(source), geometry, 9)
    outside = warp_mask(np.zeros((360, 480), np.uint8), geometry) == 255
    assert (warped[outside] == 9).all()
    assert np.abs(warped - slow_bilinear(source, geometry))[~outside].max() <= 1


def test_opencvs_own_nearest_warp_would_not_do():
    geometry = resized(360, 480, to=(180, 240))
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    theirs = cv2.warpAffine(MASK, geometry.matrix[:2], (240, 180), flags=flags)
    where_ties_go = np.array_equal(theirs, MASK[1::2, 1::2])
    assert np.array_equal(warp_mask(MASK, geometry), MASK[1::2, 1::2])
    if cv2.__version__.startswith("5.0"):
        assert not where_ties_go


@pytest.mark.parametrize(("height", "width"), [(468, 624), (180, 240), (277, 370), (90, 700)])
def test_a_rescaled_image_equals_opencvs_resize(height, width):
    expected = cv2.resize(IMAGE, (width, height), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(warp_image(IMAGE, resized(360, 480, to=(height, width))), expected)


def test_a_small_window_of_a_large_resize_equals_that_window_of_the_whole():
    whole = warp_image(IMAGE, resized(360, 480, to=(1000, 1300))).astype(int)
    window = warp_image(IMAGE, resized(360, 480, to=(1000, 1300)).then(cropped(500, 400, to=(64, 96))))
    assert np.abs(window - whole[500:564, 400:496]).max() <= 1


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        (identity(360, 480), IMAGE),
        (flipped(360, 480, horizontal=True, vertical=False), IMAGE[:, ::-1]),
        (flipped(360, 480, horizontal=False, vertical=True), IMAGE[::-1]),
        (flipped(360, 480, horizontal=True, vertical=True), IMAGE[::-1, ::-1]),
        (cropped(17, 33, to=(100, 90)), IMAGE[17:117, 33:123]),
        (flipped(360, 480, horizontal=True, vertical=False).then(cropped(3, 5, to=(50, 60))), IMAGE[3:53, ::-1][:, 5:65]),
        (rotated(360, 480, degrees=180), IMAGE[::-1, ::-1]),
        (rotated(360, 480, degrees=90), None),
    ],
)  # fmt: skip
def test_copies_are_bit_exact(geometry, expected):
    if expected is None:
        expected = np.zeros_like(IMAGE)
        expected[:, 60:420] = np.rot90(IMAGE)[60:420]
    assert np.array_equal(warp_image(IMAGE, geometry), expected)


@pytest.mark.parametrize("fill", [0, 77])
@pytest.mark.parametrize(("top", "left"), [(-5, -7), (350, 470), (-5, 470), (-400, 0), (0, 999), (359, -255)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_what_lies_outside_is_filled_and_ignored(top, left, fill, mirrored):
    geometry = flipped(360, 480, horizontal=mirrored, vertical=mirrored).then(cropped(top, left, to=(40, 256)))
    source = np.where(MASK == 0, 1, MASK).astype(np.uint8)
    padded = np.full((360 + 2000, 480 + 2000), 255, np.uint8)
    padded[1000:1360, 1000:1480] = source[::-1, ::-1] if mirrored else source
    expected = padded[1000 + top : 1040 + top, 1000 + left : 1256 + left]
    assert np.array_equal(warp_mask(source, geometry), expected)
    image = warp_image(source[..., None], geometry, fill)
    assert np.array_equal(image[..., 0], np.where(expected == 255, fill, expected))


def test_no_pixel_inside_is_mixed_with_the_fill():
    bright = np.full((50, 60, 3), 200, np.uint8)
    for geometry in (resized(50, 60, to=(150, 180)).then(cropped(-9, -9, to=(200, 200))), rotated(50, 60, degrees=30)):
        image, mask = warp_image(bright, geometry), warp_mask(np.zeros((50, 60), np.uint8), geometry)
        assert set(np.unique(image)) == {0, 200}
        assert np.array_equal(image[..., 0] == 0, mask == 255)


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("geometry", [rotated(90, 70, degrees=20), resized(90, 70, to=(45, 33)), sheared(80, 80)])
def test_any_number_of_channels_gives_what_each_alone_gives(channels, geometry):
    image = RNG.integers(0, 256, (90, 70, channels), dtype=np.uint8)
    warped = warp_image(image, geometry, 9)
    assert warped.shape == (geometry.height, geometry.width, channels)
    for channel in range(channels):
        alone = warp_image(np.ascontiguousarray(image[..., channel : channel + 1]), geometry, 9)
        # OpenCV 5 warps two channels with coordinates rounded to 1/32 pixel: at most 8 of 255 a step of noise.
        assert np.abs(warped[..., channel].astype(int) - alone[..., 0]).max() <= (8 if channels == 2 else 0)


def test_turning_is_counter_clockwise_and_a_quarter_at_a_time():
    square = RNG.integers(0, 256, (31, 31, 3), dtype=np.uint8)
    assert np.array_equal(warp_image(square, rotated(31, 31, degrees=90)), np.rot90(square))
    assert np.array_equal(warp_image(square, rotated(31, 31, degrees=-90)), np.rot90(square, 3))


def test_an_image_wider_than_opencv_can_warp_is_warped_by_its_visible_part():
    wide = np.tile(np.arange(100, dtype=np.uint8), (40, 400))
    turn = cropped(0, 35000, to=(32, 32)).then(rotated(32, 32, degrees=11))
    part = cropped(0, 500, to=(32, 32)).then(rotated(32, 32, degrees=11))
    assert np.array_equal(warp_mask(wide, turn), warp_mask(wide[:, :1000], part))
    assert np.array_equal(warp_image(wide[..., None], turn), warp_image(wide[:, :1000, None], part))


def test_an_image_too_large_to_warp_whole_says_what_to_add():
    with pytest.raises(DataError, match=r"40000x40 pixels can't be augmented.*add \{name: crop, size: 512\} first"):
        warp_mask(np.zeros((40, 40000), np.uint8), rotated(40, 40000, degrees=1))


def test_a_far_away_view_shows_nothing():
    far = resized(360, 480, to=(1, 1)).then(cropped(-500, -500, to=(256, 256))).then(rotated(256, 256, degrees=5))
    assert (warp_mask(MASK, far) == 255).all()


geometries = st.builds(
    lambda size, to, turn, window, flips: (
        resized(*size, to=to)
        .then(rotated(*to, degrees=turn))
        .then(flipped(*to, horizontal=flips[0], vertical=flips[1]))
        .then(cropped(*window, to=(24, 28)))
    ),
    st.just((30, 40)),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from([0.0, 90.0, 180.0]) | st.floats(-180, 180),
    st.tuples(st.integers(-20, 50), st.integers(-20, 50)),
    st.tuples(st.booleans(), st.booleans()),
)


@settings(max_examples=150, deadline=None)
@given(geometries)
def test_a_mask_of_one_class_keeps_that_class_and_gains_only_ignored_pixels(geometry):
    assert set(np.unique(warp_mask(np.full((30, 40), 3, np.uint8), geometry))) <= {3, 255}


@settings(max_examples=150, deadline=None)
@given(geometries)
def test_image_and_mask_stay_aligned(geometry):
    """A smooth image whose value is the place: where the mask shows a place, the image shows the same one."""
    place = np.repeat(np.arange(40, dtype=np.uint8)[None] * 5, 30, axis=0)
    mask, image = warp_mask(place, geometry), warp_image(place[..., None], geometry, 255)[..., 0]
    inside = mask != 255
    assert (image[~inside] == 255).all()
    # The nearest pixel is at most half a pixel, 2.5 values, from where bilinear looks.
    assert np.abs(image[inside].astype(int) - mask[inside]).max(initial=0) <= 3


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.booleans(), st.booleans())
def test_flipping_twice_is_the_identity(height, width, horizontal, vertical):
    image = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    once = flipped(height, width, horizontal=horizontal, vertical=vertical)
    assert np.array_equal(warp_image(image, once.then(once)), image)
    assert np.array_equal(warp_image(warp_image(image, once), once), image)


def test_scaling_is_half_pixel_centred():
    geometry = resized(10, 10, to=(5, 20))
    assert math.isclose(geometry.matrix[0, 2], 0.5 / 2 - 0.5)
    assert math.isclose(geometry.matrix[1, 2], 0.5 / 0.5 - 0.5)
