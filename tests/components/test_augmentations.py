"""The built-in augmentations as components: what they accept, what they refuse, what they build."""

import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from segengine.components.augmentations import Albumentations, BrightnessContrast, Crop, Flip, MultiScale, Rotate
from segengine.components.lookup import component_class, described
from segengine.data.augment.pipeline import Pipeline
from segengine.errors import SpecError

ALL = (MultiScale, Flip, Rotate, Crop, BrightnessContrast, Albumentations)
IMAGE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
MASK = np.zeros((60, 90), np.uint8)


@pytest.mark.parametrize("cls", ALL)
def test_each_is_found_by_its_name_and_describes_all_of_its_parameters(cls):
    assert component_class("augmentations", cls.model_fields["name"].default) is cls
    assert all(field.description for field in described(cls).values())
    assert cls.title()


@pytest.mark.parametrize("cls", ALL)
def test_each_builds_with_its_defaults_and_survives_json(cls):
    component = cls()
    assert cls.model_validate_json(component.model_dump_json()) == component
    component.preflight()
    transform = component.build(size=(60, 90))
    image, mask = Pipeline([transform])(IMAGE, MASK, np.random.default_rng(0))
    assert mask.shape == transform.size
    assert image.shape == (*transform.size, 3)


@pytest.mark.parametrize(
    ("cls", "parameters"),
    [
        (MultiScale, {"scale": [1.5, 0.5]}),
        (MultiScale, {"scale": [0, 0.5]}),
        (MultiScale, {"crop_size": 0}),
        (MultiScale, {"crop_size": [1, 2, 3]}),
        (MultiScale, {"attempts": 0}),
        (Flip, {"horizontal": 1.5}),
        (Rotate, {"degrees": -10}),
        (Rotate, {"degrees": [20, 10]}),
        (Rotate, {"degrees": 400}),
        (Crop, {"position": "middle"}),
        (BrightnessContrast, {"brightness": -0.1}),
        (Albumentations, {"parameters": 3}),
        (Crop, {"sise": 3}),
    ],
)
def test_wrong_parameters_are_refused(cls, parameters):
    with pytest.raises(ValidationError):
        cls(**parameters)


def test_sizes_are_one_number_or_height_and_width():
    assert Crop(size=8).build(size=None).size == (8, 8)
    assert Crop(size=[8, 9]).build(size=None).size == (8, 9)
    assert MultiScale(crop_size=[8, 9]).build(size=(100, 100)).size == (8, 9)


def test_sizes_pass_through_what_keeps_them():
    for component in (Flip(), Rotate(), BrightnessContrast(), Albumentations()):
        assert component.build(size=(5, 6)).size == (5, 6)
        assert component.build(size=None).size is None


def test_one_angle_means_to_either_side():
    assert Rotate(degrees=10).build(size=None).degrees == (-10, 10)
    assert Rotate(degrees=[5, 10]).build(size=None).degrees == (5, 10)


def test_a_wrong_albumentations_parameter_is_found_before_data_is_read():
    component = Albumentations(transform="GaussNoise", parameters={"std": 1})
    with pytest.raises(SpecError, match="'GaussNoise' has no parameter 'std'"):
        component.preflight()


def test_declaring_augmentations_imports_neither_torch_nor_opencv_nor_albumentations():
    code = (
        "import sys; from segengine.components.augmentations import *; "
        "Albumentations(); MultiScale(); print({'torch', 'cv2', 'albumentations', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
