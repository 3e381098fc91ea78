"""Any albumentations transform: its parameters checked, its randomness ours, masks whole."""

import os
import pickle
import re
import warnings

import numpy as np
import pytest

from segengine.data.augment.albumentations_bridge import AlbumentationsTransform
from segengine.data.augment.pipeline import Pipeline
from segengine.data.augment.transforms import GeometricTransform, PixelTransform
from segengine.errors import DataError, SpecError

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
MASK = np.full((48, 64), 3, np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("GausNoise", {}, "albumentations 2.0.8 has no transform 'GausNoise'; did you mean 'GaussNoise'?"),
        ("BasicTransform", {}, "albumentations 2.0.8 has no transform 'BasicTransform'; "),
        (
            "GaussNoise",
            {"std_rang": [0.1, 0.2]},
            "albumentations transform 'GaussNoise' has no parameter 'std_rang'; did you mean 'std_range'? "
            "its parameters are mean_range, noise_scale_factor, p, per_channel, std_range",
        ),
        ("GaussNoise", {"strict": True}, "albumentations transform 'GaussNoise' has no parameter 'strict'; "),
        (
            "GaussNoise",
            {"std_range": [3, 4], "p": 2},
            "albumentations transform 'GaussNoise': p: Input should be less than or equal to 1; "
            "std_range: All values in (3.0, 4.0) must be >= 0 and <= 1",
        ),
        ("Resize", {"width": 4}, "albumentations transform 'Resize': height: Field required"),
        ("LongestMaxSize", {}, "albumentations transform 'LongestMaxSize': Either max_size or max_size_hw must be"),
        ("MedianBlur", {"blur_limit": "a"}, "albumentations transform 'MedianBlur': blur_limit.tuple"),
        ("Normalize", {}, "albumentations transform 'Normalize' can't be used: its output is not 8-bit"),
        ("ToTensorV2", {}, "albumentations transform 'ToTensorV2' can't be used: its output is not 8-bit"),
        ("ToGray", {"num_output_channels": 1}, "albumentations transform 'ToGray' can't be used: its output has "),
        ("FDA", {}, "albumentations transform 'FDA' fails on an image of 2048x1536 pixels: FDA requires"),
        (
            "Affine",
            {"mask_interpolation": 1},
            "albumentations transform 'Affine' would mix classes with mask_interpolation 1; remove it: "
            "masks are resampled by nearest neighbour",
        ),
        (
            "Rotate",
            {"limit": [10, 20], "border_mode": 0, "fill_mask": 255.0, "interpolation": 99},
            "albumentations transform 'Rotate': interpolation: Input should be ",
        ),
    ],
)
def test_what_can_not_work_is_one_line_that_says_so(name, parameters, message):
    with pytest.raises(SpecError) as caught:
        AlbumentationsTransform(name, parameters)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert "errors.pydantic.dev" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Affine", {"rotate": [20, 40], "translate_percent": [0.2, 0.3]}),
        ("Rotate", {"limit": [30, 30]}),
        ("SafeRotate", {"limit": [30, 30]}),
        ("ShiftScaleRotate", {}),
        ("PadIfNeeded", {"min_height": 100, "min_width": 100}),
        ("Pad", {"padding": 9}),
        ("CropAndPad", {"percent": 0.2}),
        ("GridDistortion", {"distort_limit": [0.5, 0.9]}),
        ("ElasticTransform", {"alpha": 300}),
        ("OpticalDistortion", {"distort_limit": [-0.9, -0.5]}),
        ("Perspective", {"scale": [0.2, 0.3], "fit_output": True}),
        ("ThinPlateSpline", {"scale_range": [0.5, 0.6]}),
        ("RandomScale", {}),
        ("CoarseDropout", {}),
    ],
)
def test_a_mask_of_one_class_keeps_that_class_and_gains_only_ignored_pixels(name, parameters):
    transform = AlbumentationsTransform(name, {**parameters, "p": 1})
    found = set()
    for seed in range(5):
        image, mask = transform.apply(IMAGE, MASK, rng(seed))
        assert image.shape[:2] == mask.shape
        found |= set(np.unique(mask).tolist())
    assert found <= {3, 255}


def test_what_a_geometric_transform_brings_in_is_ignored():
    _, mask = AlbumentationsTransform("Rotate", {"limit": [45, 45], "p": 1}).apply(IMAGE, MASK, rng())
    assert (mask == 255).mean() > 0.1


def test_the_users_own_fill_of_the_mask_stays():
    _, mask = AlbumentationsTransform("Rotate", {"limit": [45, 45], "p": 1, "fill_mask": 0}).apply(IMAGE, MASK, rng())
    assert set(np.unique(mask)) == {0, 3}


def test_resizes_take_the_centred_nearest_pixel():
    wide = np.repeat(np.arange(64, dtype=np.uint8)[None], 48, axis=0)
    transform = AlbumentationsTransform("Resize", {"height": 16, "width": 21, "p": 1})
    _, mask = transform.apply(IMAGE, wide, rng())
    centres = (np.arange(21) + 0.5) * 64 / 21 - 0.5
    assert np.abs(mask[0] - centres).max() <= 0.5 + 1e-6


def test_a_sample_depends_on_the_given_generator_alone():
    transform = AlbumentationsTransform("GaussNoise", {"p": 1})
    first = transform.apply(IMAGE, MASK, rng(5))[0]
    transform.apply(IMAGE, MASK, rng(6))
    np.random.seed(1)
    assert np.array_equal(transform.apply(IMAGE, MASK, rng(5))[0], first)
    assert not np.array_equal(transform.apply(IMAGE, MASK, rng(6))[0], first)


def test_a_copy_of_the_transform_in_another_process_gives_the_same():
    transform = AlbumentationsTransform("GaussNoise", {"p": 1})
    copy = pickle.loads(pickle.dumps(transform))
    assert np.array_equal(copy.apply(IMAGE, MASK, rng(5))[0], transform.apply(IMAGE, MASK, rng(5))[0])


@pytest.mark.parametrize(
    ("name", "parameters", "size", "after"),
    [
        ("GaussNoise", {}, (40, 50), (40, 50)),
        ("GaussNoise", {}, None, None),
        ("Resize", {"height": 30, "width": 40, "p": 1}, None, (30, 40)),
        ("Resize", {"height": 30, "width": 40, "p": 0.5}, None, None),
        ("RandomCrop", {"height": 256, "width": 300}, None, (256, 300)),
        ("RandomScale", {}, (40, 50), None),
        ("Affine", {"rotate": 30}, (40, 50), (40, 50)),
    ],
)
def test_the_size_of_what_comes_out_is_known(name, parameters, size, after):
    assert AlbumentationsTransform(name, parameters, size=size).size == after


def test_cached_arrays_are_not_written_to():
    image, mask = IMAGE.copy(), MASK.copy()
    image.flags.writeable = mask.flags.writeable = False
    for name in ("PixelDropout", "CoarseDropout", "RandomSunFlare", "GridDropout", "Spatter"):
        Pipeline([AlbumentationsTransform(name, {"p": 1})])(image, mask, rng())
    assert np.array_equal(image, IMAGE)


def test_a_transform_that_fails_on_an_image_is_named():
    transform = AlbumentationsTransform("ToSepia", {"p": 1})
    with pytest.raises(
        DataError, match=re.escape("'ToSepia' fails on an image of shape (48, 64, 5) (height, width, ch")
    ):
        transform.apply(np.zeros((48, 64, 5), np.uint8), MASK, rng())


def test_no_warning_leaks_and_the_network_is_not_asked():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transform = AlbumentationsTransform("ShiftScaleRotate", {"p": 1})
        transform.apply(IMAGE, MASK, rng())
    assert os.environ["NO_ALBUMENTATIONS_UPDATE"]


def test_it_is_a_pixel_transform():
    transform = AlbumentationsTransform("GaussNoise", {})
    assert isinstance(transform, PixelTransform)
    assert not isinstance(transform, GeometricTransform)
