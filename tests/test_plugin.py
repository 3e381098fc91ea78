"""The surface that plugin authors rely on."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import segengine.plugin
from segengine.components.base import KINDS
from segengine.plugin import SpecError, build_timm_backbone, check_timm_model, load_backbone_weights

HEAVY = ("torch", "torchvision", "timm", "segmentation_models_pytorch", "albumentations", "cv2", "matplotlib")


def test_all_is_sorted_without_repetition_and_importable():
    names = segengine.plugin.__all__
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(segengine.plugin, name)] == []


def test_the_base_class_of_every_kind_is_there():
    assert {base.__name__ for base in KINDS.values()} <= set(segengine.plugin.__all__)


def test_everything_public_has_a_docstring():
    public = [getattr(segengine.plugin, name) for name in segengine.plugin.__all__]
    assert [item for item in public if (isinstance(item, type) or callable(item)) and not item.__doc__] == []


def test_importing_it_loads_nothing_heavy():
    code = f"import segengine.plugin, sys; print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_transform_of_levels_can_be_written_with_what_is_exported():
    class Darker:
        size = None

        def draw_levels(self, rng):
            return segengine.plugin.Levels(shift=-0.1 * rng.random(), stretch=0.0)

        def apply(self, image, mask, rng):
            return self.draw_levels(rng)(image), mask

    assert isinstance(Darker(), segengine.plugin.LevelTransform)
    image, mask = np.full((4, 5, 3), 100, np.uint8), np.zeros((4, 5), np.uint8)
    shift = -0.1 * np.random.default_rng(3).random()
    changed, _ = Darker().apply(image, mask, np.random.default_rng(3))
    assert (changed == round(100 + 255 * shift)).all()


def test_a_timm_backbone_can_be_built_by_name():
    backbone = build_timm_backbone("resnet18", in_channels=2, output_stride=16)
    assert backbone.strides == (2, 4, 8, 16, 16)
    assert len(backbone.mean) == 2
    with pytest.raises(SpecError, match="has no model 'resnet1x'; did you mean"):
        check_timm_model("resnet1x")


def test_weights_of_a_file_can_be_loaded_into_any_backbone(tmp_path):
    source, target = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3))
    torch.save(source.state_dict(), tmp_path / "w.pth")
    load_backbone_weights(target, tmp_path / "w.pth", in_channels=1)
    torch.testing.assert_close(target[0].weight, source[0].weight.sum(1, keepdim=True))
