"""Weights from local files: full coverage or a message."""

from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import load_file, save_file

from segengine.errors import SpecError
from segengine.nn.timm_backbone import build_timm
from segengine.nn.vgg import Vgg, build_vgg
from segengine.nn.weights import load_backbone, read_weights


def vgg(**changes):
    return Vgg(11, **{"batch_norm": False, "in_channels": 3, **changes})


def with_classifier(state):
    return {**state, "classifier.0.weight": torch.zeros(2, 2)}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_with_a_classifier_fills_the_backbone(tmp_path, suffix):
    source, path = vgg(), tmp_path / f"w{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(with_classifier(source.state_dict()), path)
    loaded = build_vgg(11, batch_norm=False, in_channels=3, output_stride=32, weights=str(path))
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), loaded.parameters(), strict=True))


HEADS = ("classifier", "fc", "head", "pre_logits")


def written(model, path):
    """The file that `model.state_dict()` would make, the classifier's tensors cut to a row: they are VGG's half gigabyte."""
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    save_file({k: torch.randn((1, *s[1:2]) if k.startswith(HEADS) else s) for k, s in shapes.items()}, path)


@pytest.mark.parametrize(
    ("source", "name"),
    [("timm", "vgg11_bn"), ("torchvision", "vgg11_bn"), ("timm", "resnet18"), ("torchvision", "resnet18"), ("timm", "convnext_atto")],
)  # fmt: skip
def test_files_named_as_timm_or_torchvision_name_them_fill_vgg_resnet_and_timm_models(tmp_path, name, source):
    import timm
    import torchvision

    path = tmp_path / "w.safetensors"
    with torch.device("meta") if name == "vgg11_bn" else nullcontext():
        make = timm.create_model if source == "timm" else torchvision.models.get_model
        model = make(name)
    written(model, path)
    loaded = [build_timm(name, in_channels=3, output_stride=32, weights=str(path))]
    if name == "vgg11_bn":
        loaded.append(build_vgg(11, batch_norm=True, in_channels=3, output_stride=32, weights=str(path)))
    if name == "resnet18" and find_spec("segengine_resnet"):
        plugin = import_module("segengine_resnet").ResNet(depth=18, weights=str(path))
        loaded.append(plugin.build(in_channels=3))
    state = load_file(path)
    for backbone in loaded:
        facts, first = backbone.initial_weights, next(key for key in state if state[key].ndim == 4)
        assert facts["loaded"] == facts["tensors"] == len(backbone.state_dict())
        assert all(key.startswith(HEADS) for key in facts["unused"])
        assert any(torch.equal(value, state[first]) for value in backbone.state_dict().values())


@pytest.mark.parametrize("entry", ["state_dict", "model"])
def test_the_state_dict_within_a_checkpoint_is_taken_without_the_prefix_of_ddp(tmp_path, entry):
    torch.save({entry: {f"module.{k}": v for k, v in vgg().state_dict().items()}, "epoch": 3}, tmp_path / "c.pth")
    assert list(read_weights(tmp_path / "c.pth")) == list(vgg().state_dict())


def test_the_backbone_of_a_whole_segmenter_is_taken(tmp_path):
    state = {f"backbone.{k}": v for k, v in vgg().state_dict().items()}
    save_file({**state, "head.weight": torch.zeros(1), "mean": torch.zeros(3)}, tmp_path / "run.safetensors")
    assert read_weights(tmp_path / "run.safetensors").keys() == vgg().state_dict().keys()


def test_the_first_convolution_is_adapted_to_other_numbers_of_channels():
    source = vgg().state_dict()
    gray, five = vgg(in_channels=1), vgg(in_channels=5)
    load_backbone(gray, source, in_channels=1, source="f")
    load_backbone(five, source, in_channels=5, source="f")
    first = source["features.0.weight"]
    torch.testing.assert_close(gray.features[0].weight, first.sum(1, keepdim=True))
    torch.testing.assert_close(five.features[0].weight[:, 3], first[:, 0] * 3 / 5)
    assert torch.equal(five.features[3].weight, source["features.3.weight"])


def test_a_missing_tensor_is_refused_by_name_and_nothing_is_loaded():
    backbone, state = vgg(), vgg().state_dict()
    before = backbone.features[0].weight.clone()
    del state["features.3.bias"]
    with pytest.raises(SpecError) as caught:
        load_backbone(backbone, state, in_channels=3, source="w.pth")
    assert str(caught.value) == (
        "w.pth matches 15 of the backbone's 16 tensors; missing: features.3.bias; use weights of the same model"
    )
    assert torch.equal(backbone.features[0].weight, before)


def test_a_tensor_of_another_shape_is_refused_with_both_shapes():
    state = {**vgg().state_dict(), "features.3.weight": torch.zeros(128, 32, 3, 3)}
    with pytest.raises(SpecError, match=r"different shape: features\.3\.weight 128x32x3x3 instead of 128x64x3x3;"):
        load_backbone(vgg(), state, in_channels=3, source="w.pth")


def test_a_deeper_model_of_the_same_family_is_refused_though_it_covers_everything(tmp_path):
    import timm

    save_file(timm.create_model("resnet34").state_dict(), tmp_path / "resnet34.safetensors")
    with pytest.raises(
        SpecError,
        match=r"matches 120 of the backbone's 120 tensors; unexpected: layer1\.2\.bn1\.bias, layer1\.2\.bn1\.weight",
    ):
        build_timm("resnet18", in_channels=3, output_stride=32, weights=str(tmp_path / "resnet34.safetensors"))


def test_old_files_without_the_counters_of_batch_normalisation_fit():
    state = {k: v for k, v in vgg(batch_norm=True).state_dict().items() if "num_batches" not in k}
    backbone = vgg(batch_norm=True)
    load_backbone(backbone, state, in_channels=3, source="old.pth")
    assert torch.equal(backbone.features[0].weight, state["features.0.weight"])


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


def test_a_file_that_runs_code_is_refused_and_runs_none(tmp_path, capsys):
    torch.save(Evil(), tmp_path / "evil.pth")
    with pytest.raises(SpecError, match=r"evil\.pth can't be read as plain tensors"):
        read_weights(tmp_path / "evil.pth")
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["broken.safetensors", "broken.pth"])
def test_a_broken_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not tensors at all")
    with pytest.raises(SpecError, match=rf"{name} can't be read as plain tensors"):
        read_weights(tmp_path / name)


def test_a_file_without_a_state_dict_is_named(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "t.pth")
    with pytest.raises(SpecError, match=r"t\.pth holds a Tensor, not a state dict"):
        read_weights(tmp_path / "t.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"none\.pth does not exist"):
        read_weights(tmp_path / "none.pth")


@pytest.mark.parametrize("kind", ["vgg", "timm", "resnet plugin"])
def test_a_backbone_remembers_the_file_its_hash_and_its_keys(tmp_path, kind):
    import hashlib

    import timm

    path = tmp_path / "w.safetensors"
    if kind == "vgg":
        save_file(with_classifier(vgg().state_dict()), path)
        loaded = build_vgg(11, batch_norm=False, in_channels=1, output_stride=32, weights=str(path))
    else:
        name = "resnet18" if kind == "resnet plugin" else "test_resnet"
        save_file(timm.create_model(name).state_dict(), path)
        if kind == "timm":
            loaded = build_timm(name, in_channels=1, output_stride=32, weights=str(path))
        else:
            resnet = pytest.importorskip("segengine_resnet").ResNet(depth=18, weights=str(path))
            loaded = resnet.build(in_channels=1)
    facts, keys = loaded.initial_weights, list(loaded.state_dict())
    assert facts["file"] == str(path)
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (facts["loaded"], facts["tensors"], facts["missing"]) == (len(keys), len(keys), [])
    assert facts["unused"] == (["classifier.0.weight"] if kind == "vgg" else ["fc.bias", "fc.weight"])
    assert facts["first_layer_adapted"]
