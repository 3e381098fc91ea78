"""The pipeline: one warp a run of geometry, pure in its generator, never touching what it is given."""

import numpy as np
import pytest

import segengine.data.augment.pipeline as pipeline_module
from segengine.data.augment.geometric import Crop, Flip, MultiScale, Rotate
from segengine.data.augment.pipeline import Pipeline
from segengine.data.augment.pixels import BrightnessContrast
from segengine.data.batches.randomness import generator

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
MASK = np.random.default_rng(1).integers(0, 5, (48, 64), dtype=np.uint8)
EVERYTHING = (MultiScale(64, (0.5, 1.5), (40, 36)), Flip(0.5, 0.5), BrightnessContrast(0.2, 0.2), Rotate((-20, 20)))


def rng(seed=0):
    return generator(seed, 0, "image")


def test_an_empty_pipeline_gives_what_it_is_given():
    image, mask = Pipeline([])(IMAGE, MASK, rng())
    assert np.array_equal(image, IMAGE)
    assert np.array_equal(mask, MASK)
    assert Pipeline([]).size is None


def test_consecutive_geometry_costs_one_warp(monkeypatch):
    calls = []
    warp = pipeline_module.warp_image
    monkeypatch.setattr(pipeline_module, "warp_image", lambda *a: calls.append(1) or warp(*a))
    Pipeline([*EVERYTHING[:2], Rotate((5, 5)), Crop((30, 30))])(IMAGE, MASK, rng())
    assert len(calls) == 1
    Pipeline(EVERYTHING)(IMAGE, MASK, rng())
    assert len(calls) == 3


def test_the_same_generator_gives_the_same_sample_and_another_one_another():
    pipeline = Pipeline(EVERYTHING)
    first, again, other = (pipeline(IMAGE, MASK, rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_what_is_given_is_never_changed():
    image, mask = IMAGE.copy(), MASK.copy()
    image.flags.writeable = mask.flags.writeable = False
    for seed in range(5):
        Pipeline(EVERYTHING)(image, mask, rng(seed))
    assert np.array_equal(image, IMAGE)


def test_outputs_are_contiguous_and_of_the_stated_size():
    pipeline = Pipeline([*EVERYTHING, Flip(1.0, 1.0), Crop((20, 10))])
    image, mask = pipeline(IMAGE, MASK, rng())
    assert pipeline.size == (20, 10)
    assert image.shape == (20, 10, 3)
    assert mask.shape == (20, 10)
    assert image.flags.c_contiguous
    assert mask.flags.c_contiguous


def test_the_image_is_black_where_the_mask_is_ignored():
    image, mask = Pipeline([Crop((100, 100))])(IMAGE, MASK, rng())
    assert (image[mask == 255] == 0).all()
    assert (mask == 255).sum() == 100 * 100 - 48 * 64


def test_a_window_without_a_labelled_pixel_is_drawn_anew():
    mask = np.full((200, 200), 255, np.uint8)
    mask[80:120, 80:120] = 1
    image = np.zeros((200, 200, 3), np.uint8)

    def seen(attempts):
        pipeline = Pipeline([Crop((32, 32), attempts=attempts)])
        return sum((pipeline(image, mask, rng(seed))[1] == 1).any() for seed in range(200))

    assert seen(1) < 100
    assert seen(50) == 200


def test_a_mask_without_a_labelled_pixel_is_drawn_once():
    draws = []

    class Counted(Crop):
        def draw(self, rng, height, width):
            draws.append(1)
            return super().draw(rng, height, width)

    Pipeline([Counted((8, 8))])(IMAGE, np.full_like(MASK, 255), rng())
    assert len(draws) == 1


@pytest.mark.parametrize("rare_share", [0.0, 0.5])
def test_a_plan_drawn_beforehand_gives_the_same_sample(rare_share):
    holes = MASK.copy()
    holes[:, 20:] = 255
    transforms = (*EVERYTHING, Crop((16, 16), rare_share=rare_share), BrightnessContrast(0.3, 0.3, probability=0.5))
    pipeline = Pipeline(transforms)
    assert pipeline.plannable
    for seed in range(30):
        one, other = rng(seed), rng(seed)
        image, mask = pipeline.apply(pipeline.draw(one, holes), IMAGE, holes)
        expected = pipeline(IMAGE, holes, other)
        assert np.array_equal(image, expected[0])
        assert np.array_equal(mask, expected[1])
        assert one.random() == other.random()


def test_a_transform_that_draws_while_it_changes_pixels_leaves_no_plan():
    class Noise:
        size = None

        def apply(self, image, mask, rng):
            return image + rng.integers(0, 2, image.shape, dtype=np.uint8), mask

    pipeline = Pipeline([Flip(0.5, 0.5), Noise()])
    assert not pipeline.plannable
    with pytest.raises(AssertionError, match="samples while it changes pixels"):
        pipeline.draw(rng(), MASK)


def test_an_object_that_is_no_transform_is_refused():
    with pytest.raises(AssertionError, match="neither draw\\(\\) nor apply\\(\\)"):
        Pipeline([object()])


def test_brightness_and_contrast_follow_their_formula():
    transform = BrightnessContrast(0.2, 0.4)
    changed, mask = transform.apply(IMAGE, MASK, rng())
    draws = rng()
    draws.random()
    shift, stretch = draws.uniform(-1, 1, 2)
    mean = IMAGE.mean()
    expected = (IMAGE - mean) * (1 + 0.4 * stretch) + mean + 255 * 0.2 * shift
    assert np.abs(changed - expected.clip(0, 255)).max() <= 0.5001
    assert np.array_equal(mask, MASK)


@pytest.mark.parametrize("channels", [1, 4, 7])
def test_brightness_works_for_any_number_of_channels(channels):
    image = np.random.default_rng(0).integers(0, 256, (9, 11, channels), dtype=np.uint8)
    changed, _ = BrightnessContrast(0.5, 0.0).apply(image, MASK, rng())
    assert changed.shape == image.shape
    difference = changed.astype(int) - image
    inside = (changed > 0) & (changed < 255)
    assert len(set(difference[inside])) == 1


def test_brightness_that_is_not_drawn_leaves_the_image():
    assert BrightnessContrast(0.5, 0.5, probability=0.0).apply(IMAGE, MASK, rng())[0] is IMAGE
