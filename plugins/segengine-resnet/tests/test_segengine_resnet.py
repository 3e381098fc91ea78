"""ResNet through the doors that every plugin uses: the installed entry point and `segengine.plugin`."""

import ast
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import segengine_resnet
import torch
from pydantic import ValidationError
from segengine_resnet import ResNet

from segengine.plugin import SpecError

torch.set_num_threads(1)


def test_the_installed_entry_point_is_the_class():
    (found,) = metadata.entry_points(group="segengine.v1.backbones", name="resnet")
    assert found.dist.name == "segengine-resnet"
    assert found.load() is ResNet


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("in_channels", [1, 3, 5])
def test_maps_have_the_declared_channels_and_strides(depth, in_channels):
    backbone = ResNet(depth=depth).build(in_channels=in_channels)
    with torch.inference_mode():
        maps = backbone.eval()(torch.rand(1, in_channels, 64, 32))
    assert backbone.strides == (2, 4, 8, 16, 32)
    assert [tuple(m.shape) for m in maps] == [
        (1, channels, 64 // stride, 32 // stride)
        for channels, stride in zip(backbone.channels, backbone.strides, strict=True)
    ]
    assert len(backbone.mean) == len(backbone.std) == in_channels


@pytest.mark.parametrize(("output_stride", "strides"), [(16, (2, 4, 8, 16, 16)), (8, (2, 4, 8, 8, 8))])
def test_a_smaller_output_stride_dilates_the_last_stages(output_stride, strides):
    backbone = ResNet(depth=18).build(in_channels=3, output_stride=output_stride)
    maps = backbone(torch.rand(2, 3, 64, 64))
    assert backbone.strides == strides
    assert [64 // m.shape[-1] for m in maps] == list(strides)


def test_depth_34_is_the_default_and_other_depths_are_refused():
    assert ResNet().depth == 34
    with pytest.raises(ValidationError, match="18, 34, 50, 101 or 152"):
        ResNet(depth=35)


def test_every_parameter_is_reached_by_a_gradient():
    backbone = ResNet(depth=18).build(in_channels=3)
    sum(m.sum() for m in backbone(torch.rand(2, 3, 64, 64))).backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


def test_weights_from_a_local_file_are_the_ones_that_are_used(tmp_path):
    import timm

    whole = timm.create_model("resnet18", pretrained=False)
    torch.save(whole.state_dict(), tmp_path / "resnet18.pth")
    backbone = ResNet(depth=18, weights=str(tmp_path / "resnet18.pth")).build(in_channels=3).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(images)[-1], whole.eval().forward_features(images))


def test_a_missing_file_of_weights_is_found_before_anything_is_built(tmp_path):
    with pytest.raises(SpecError, match=r"weights file .*nowhere\.pth does not exist"):
        ResNet(weights=str(tmp_path / "nowhere.pth")).preflight()


def test_importing_the_plugin_loads_no_torch():
    code = "import segengine_resnet, sys; print(sorted({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_of_segengine_only_the_plugin_surface_is_imported():
    for module in Path(segengine_resnet.__file__).parent.glob("*.py"):
        imported = {n.module for n in ast.walk(ast.parse(module.read_text())) if isinstance(n, ast.ImportFrom)}
        assert {name for name in imported if name.split(".")[0] == "segengine"} <= {"segengine.plugin"}, module
