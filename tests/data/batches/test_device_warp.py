"""The device's warp shows what the CPU's does: equal masks, images one gray level apart at most."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segengine.data.augment.geometric import Crop, Flip, MultiScale, Rotate
from segengine.data.augment.geometry import cropped, flipped, resized, rotated
from segengine.data.augment.pipeline import Pipeline
from segengine.data.augment.warp import warp_image, warp_mask
from segengine.data.batches.device_operations import batch_operations
from segengine.data.batches.device_store import stored
from segengine.data.batches.device_stream import DeviceStream
from segengine.data.batches.device_warp import Flat, augmented
from segengine.data.batches.streams import TrainingStream
from tests.data.batches.device_samples import CPU, Samples, assert_alike, taken


def flat_of(image, mask):
    return Flat(torch.from_numpy(image.reshape(-1, image.shape[2]).T.copy()), torch.from_numpy(mask.ravel().copy()))


def seen(image, mask, geometry, fill=0):
    """Image and mask through `geometry`, by the device's warp."""
    plan = batch_operations([(geometry,)], [(0, *mask.shape)], [0])
    [(images, masks)] = augmented(flat_of(image, mask), plan, torch.from_numpy(plan.table), fill, 2**16)
    return images[:, 0].permute(1, 2, 0).numpy(), masks[0].numpy()


sides = st.integers(1, 70)


geometries = st.builds(
    lambda size, to, turn, window, flips, out: (
        size,
        resized(*size, to=to)
        .then(rotated(*to, degrees=turn))
        .then(flipped(*to, horizontal=flips[0], vertical=flips[1]))
        .then(cropped(*window, to=out)),
    ),
    st.tuples(sides, sides),
    st.tuples(sides, sides),
    st.sampled_from([0.0, 90.0, 180.0, -45.0]) | st.floats(-180, 180),
    st.tuples(st.integers(-20, 50), st.integers(-20, 50)),
    st.tuples(st.booleans(), st.booleans()),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)


@settings(max_examples=200, deadline=None)
@given(geometries, st.sampled_from([1, 3, 4]), st.integers(0, 255))
def test_any_geometry_gives_equal_masks_and_images_one_gray_level_apart(drawn, channels, fill):
    size, geometry = drawn
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, channels), dtype=np.uint8)
    mask = rng.integers(0, 255, size, dtype=np.uint8)
    images, masks = seen(image, mask, geometry, fill)
    assert np.array_equal(masks, warp_mask(mask, geometry))
    assert np.abs(images.astype(int) - warp_image(image, geometry, fill)).max() <= 1


@settings(max_examples=100, deadline=None)
@given(geometries)
def test_a_mask_of_one_class_gains_only_ignored_pixels_and_an_even_image_only_the_fill(drawn):
    size, geometry = drawn
    images, masks = seen(np.full((*size, 3), 200, np.uint8), np.full(size, 3, np.uint8), geometry)
    assert set(np.unique(masks)) <= {3, 255}
    assert set(np.unique(images)) <= {0, 200}
    assert np.array_equal(images[..., 0] == 0, masks == 255)


def pairs(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


augmentations = st.lists(
    st.one_of(
        st.builds(MultiScale, st.integers(8, 90), st.sampled_from([(0.5, 1.5), (0.2, 4.0), (1.0, 1.0)]), pairs(1, 48),
                  rare_share=st.sampled_from([0.0, 0.5])),
        st.builds(Crop, pairs(1, 60), st.sampled_from(["random", "centre"])),
        st.builds(Flip, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.5])),
        st.builds(Rotate, st.sampled_from([(-15, 15), (90, 90), (-180, 180)]), st.sampled_from([0.5, 1.0])),
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    augmentations, st.lists(pairs(1, 80), min_size=1, max_size=4), pairs(1, 40), st.integers(0, 2**32), st.booleans()
)
def test_any_pipeline_shows_the_same_on_the_cpu_and_on_the_device(transforms, sizes, last, seed, constant):
    samples, pipeline = Samples(sizes, constant=3 if constant else None), Pipeline([*transforms, Crop(last)])
    indices = range(len(sizes))
    order = TrainingStream(samples, indices, pipeline, batch_size=3, seed=seed)
    device = DeviceStream(order, samples, pipeline, stored(samples, indices, CPU))
    made = taken(device, 1)
    device.close()
    assert_alike(made, taken(order, 1), levels=1)
    if constant:
        for batch in made:
            assert set(batch.masks.unique().tolist()) <= {3, 255}
            assert set(batch.images.unique().tolist()) <= {0, 200}


def test_images_whose_pixels_32_bits_can_not_address_are_warped_alike():
    wide = np.tile(np.arange(100, dtype=np.uint8), (40, 400))
    turn = cropped(0, 35000, to=(32, 32)).then(rotated(32, 32, degrees=11))
    image, mask = seen(wide[..., None], wide, turn)
    assert np.array_equal(mask, warp_mask(wide, turn))
    assert np.abs(image.astype(int) - warp_image(wide[..., None], turn)).max() <= 1
