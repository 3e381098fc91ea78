"""Windows centred on classes: what they show, how often, and that without them every number is as it was."""

from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from segengine.components.augmentations import Crop as CropComponent
from segengine.data.augment.geometric import Crop, Flip, MultiScale, Rotate
from segengine.data.augment.geometry import cropped, resized
from segengine.data.augment.pipeline import Pipeline
from segengine.data.batches.randomness import generator

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
MASK = np.zeros((90, 120), np.uint8)
MASK[:30] = 1
MASK[60:64, 100:105] = 2
MASK[10:20, 10:20] = 255


def rng(seed):
    return generator(seed, 0, "image")


class OldCrop:
    """Crop as it was before it knew of classes."""

    def __init__(self, size):
        self.size, self.attempts = size, 10

    def draw(self, rng, height, width):
        spare = np.subtract((height, width), self.size)
        top, left = rng.integers(np.minimum(spare, 0), np.maximum(spare, 0), endpoint=True).tolist()
        return cropped(top, left, to=self.size)


class OldMultiScale(OldCrop):
    def __init__(self, base_size, scale, size):
        super().__init__(size)
        self.base_size, self.scale = base_size, scale

    def draw(self, rng, height, width):
        factor = self.base_size * rng.uniform(*self.scale) / max(height, width)
        scaled = max(1, round(height * factor)), max(1, round(width * factor))
        return resized(height, width, to=scaled).then(super().draw(rng, *scaled))


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (Crop((40, 32)), OldCrop((40, 32))),
        (Crop((100, 100)), OldCrop((100, 100))),
        (MultiScale(128, (0.5, 1.5), (48, 64)), OldMultiScale(128, (0.5, 1.5), (48, 64))),
    ],
)
def test_without_a_share_every_sample_is_what_it_was(new, old):
    for seed in range(20):
        draws = rng(seed), rng(seed)
        ours = Pipeline([Flip(0.5, 0.5), new, Rotate((-9, 9))])(IMAGE, MASK, draws[0])
        theirs = Pipeline([Flip(0.5, 0.5), old, Rotate((-9, 9))])(IMAGE, MASK, draws[1])
        assert np.array_equal(ours[0], theirs[0])
        assert np.array_equal(ours[1], theirs[1])
        assert draws[0].random() == draws[1].random()


@pytest.mark.parametrize("before", [[], [Flip(1.0, 1.0)], [Rotate((30, 30))], [Flip(0.5, 0.5), Rotate((-40, 40))]])
def test_the_centre_shows_the_class_that_was_drawn_whatever_came_before(before):
    """One pixel of class 2 in the middle of class 0: half of the windows are about it."""
    mask = np.zeros((101, 121), np.uint8)
    mask[50, 60] = 2
    image = np.zeros((101, 121, 1), np.uint8)
    pipeline = Pipeline([*before, Crop((21, 31), rare_share=1.0)])
    middles = Counter((pipeline(image, mask, rng(seed))[1][10, 15]).item() for seed in range(200))
    assert 70 < middles[2] < 130


def test_multi_scale_centres_on_the_pixel_at_its_new_size():
    mask = np.zeros((101, 121), np.uint8)
    mask[49:52, 59:62] = 2
    image = np.zeros((101, 121, 1), np.uint8)
    pipeline = Pipeline([MultiScale(200, (0.5, 1.5), (31, 31), rare_share=1.0)])
    middles = Counter(pipeline(image, mask, rng(seed))[1][15, 15].item() for seed in range(200))
    assert 70 < middles[2] < 130


def test_each_class_of_the_mask_is_drawn_equally_often_and_ignored_pixels_never():
    centres = Counter(Pipeline([Crop((1, 1), rare_share=1.0)])(IMAGE, MASK, rng(seed))[1].item() for seed in range(600))
    assert sorted(centres) == [0, 1, 2]
    assert all(150 < number < 250 for number in centres.values())


def test_the_share_is_that_of_the_samples():
    seen = [
        (Pipeline([Crop((1, 1), attempts=1, rare_share=0.5)])(IMAGE, MASK, rng(s))[1] == 2).item() for s in range(600)
    ]
    assert 70 < sum(seen) < 130  # a third of one half


def test_windows_stay_inside_of_the_image_and_small_images_inside_of_the_window():
    for seed in range(50):
        _, mask = Pipeline([Crop((40, 50), rare_share=1.0)])(IMAGE, np.where(MASK == 255, 0, MASK), rng(seed))
        assert (mask != 255).all()
        _, mask = Pipeline([Crop((100, 130), rare_share=1.0)])(IMAGE, np.where(MASK == 255, 0, MASK), rng(seed))
        assert (mask != 255).sum() == MASK.size


def test_the_same_generator_gives_the_same_window_and_an_ignored_mask_an_ordinary_one():
    pipeline = Pipeline([MultiScale(100, (0.5, 1.5), (40, 40), rare_share=0.7), Flip(0.5, 0.5)])
    for seed in range(10):
        first, again = (pipeline(IMAGE, MASK, rng(seed)) for _ in range(2))
        assert np.array_equal(first[0], again[0])
        assert np.array_equal(first[1], again[1])
    _, mask = Pipeline([Crop((20, 20), rare_share=1.0)])(IMAGE, np.full_like(MASK, 255), rng(0))
    assert (mask == 255).all()


def test_a_window_in_the_centre_takes_no_share():
    with pytest.raises(ValidationError, match="needs position: random"):
        CropComponent(position="centre", rare_share=0.5)
    assert CropComponent(rare_share=0.5).build(size=None).rare_share == 0.5
