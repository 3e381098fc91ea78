"""Built-in backbones: declared channels and strides are real, weights need no network unless asked for."""

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from segengine.components.backbones import Timm, Vgg, check_weights
from segengine.errors import RunError, SpecError

BACKBONES = {
    "vgg11": (Vgg(depth=11), (1, 2, 4, 8, 16, 32)),
    "vgg11 plain": (Vgg(depth=11, batch_norm=False), (1, 2, 4, 8, 16, 32)),
    "vgg13": (Vgg(depth=13), (1, 2, 4, 8, 16, 32)),
    "resnet18": (Timm(model="resnet18"), (2, 4, 8, 16, 32)),
    "convnext": (Timm(model="convnext_atto"), (4, 8, 16, 32)),
    "swin": (Timm(model="swin_tiny_patch4_window7_224"), (4, 8, 16, 32)),
    "mobilenet": (Timm(model="mobilenetv3_small_050"), (2, 4, 8, 16, 32)),
}


def sizes(maps):
    return [tuple(m.shape[1:]) for m in maps]


def declared(backbone, height, width):
    return [(c, height // s, width // s) for c, s in zip(backbone.channels, backbone.strides, strict=True)]


@pytest.mark.parametrize("in_channels", [1, 3, 5])
@pytest.mark.parametrize("name", BACKBONES)
def test_maps_have_the_declared_channels_and_strides(name, in_channels):
    component, strides = BACKBONES[name]
    backbone = component.build(in_channels=in_channels).eval()
    assert backbone.strides == strides
    assert len(backbone.mean) == len(backbone.std) == in_channels
    with torch.inference_mode():
        maps = backbone(torch.rand(1, in_channels, 64, 32))
    assert sizes(maps) == declared(backbone, 64, 32)


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "convnext", "mobilenet"])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_a_smaller_output_stride_dilates_the_last_stages(name, output_stride):
    backbone = BACKBONES[name][0].build(in_channels=3, output_stride=output_stride)
    assert backbone.strides == tuple(min(s, output_stride) for s in BACKBONES[name][1])
    assert sizes(backbone(torch.rand(2, 3, 64, 64))) == declared(backbone, 64, 64)


@pytest.mark.parametrize("name", ["vgg11", "vgg11 plain", "resnet18", "convnext", "mobilenet"])
def test_every_parameter_is_reached_by_a_gradient(name):
    backbone = BACKBONES[name][0].build(in_channels=3)
    sum(m.sum() for m in backbone(torch.rand(2, 3, 64, 64))).backward()
    assert [key for key, p in backbone.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "convnext"])
def test_the_state_goes_from_one_backbone_to_another(name):
    component = BACKBONES[name][0]
    one, other = component.build(in_channels=1).eval(), component.build(in_channels=1).eval()
    images = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert not torch.equal(one(images)[-1], other(images)[-1])
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(images)[-1], other(images)[-1])


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_vgg_has_the_names_and_shapes_of_torchvision(depth, batch_norm):
    from torchvision.models import get_model

    with torch.device("meta"):
        theirs = get_model(f"vgg{depth}{'_bn' if batch_norm else ''}", weights=None, init_weights=False)
        ours = Vgg(depth=depth, batch_norm=batch_norm).build(in_channels=3)
    expected = {k: v.shape for k, v in theirs.state_dict().items() if k.startswith("features.")}
    assert {k: v.shape for k, v in ours.state_dict().items()} == expected


def test_vgg_computes_what_torchvision_computes():
    from torchvision.models.vgg import cfgs, make_layers

    theirs, ours = make_layers(cfgs["A"], batch_norm=True).eval(), Vgg(depth=11).build(in_channels=3).eval()
    ours.features.load_state_dict(theirs.state_dict())
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images)[-1], theirs(images))


def test_the_dilated_vgg_keeps_the_names_of_its_weights():
    assert list(Vgg(depth=11).build(in_channels=3, output_stride=8).state_dict()) == list(
        Vgg(depth=11).build(in_channels=3).state_dict()
    )


def test_timm_models_keep_the_statistics_that_they_were_trained_with():
    backbone = Timm(model="mobilenetv3_small_050").build(in_channels=3)
    assert backbone.mean == (0.485, 0.456, 0.406)
    assert Timm(model="vit_tiny_patch16_224").build(in_channels=1, output_stride=16).mean == (0.5,)


def test_a_plain_transformer_takes_images_of_any_size():
    backbone = Timm(model="vit_tiny_patch16_224").build(in_channels=3, output_stride=16)
    assert set(backbone.strides) == {16}
    assert backbone(torch.rand(1, 3, 32, 64))[-1].shape == (1, 192, 2, 4)


def test_a_model_that_cannot_be_dilated_says_so():
    with pytest.raises(SpecError) as caught:
        Timm(model="swin_tiny_patch4_window7_224").build(in_channels=3, output_stride=16)
    assert str(caught.value) == (
        "timm model 'swin_tiny_patch4_window7_224' does not support an output stride of 16, its deepest stride is 32; set the "
        "decoder's output_stride to 32, or choose a backbone that can be dilated (resnet, convnext, efficientnet, vgg)"
    )


def test_vgg_refuses_an_output_stride_that_it_has_not():
    with pytest.raises(SpecError, match="vgg has no output stride 4; choose 8, 16 or 32"):
        Vgg(depth=11).build(in_channels=3, output_stride=4)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("resnet19", "has no model 'resnet19'; did you mean 'resnet1"),
        ("hf-hub:timm/resnet18", "has no model 'hf-hub:timm/resnet18'"),
        ("resnet18.a1_in1", "timm's model resnet18 has no weights 'a1_in1'; did you mean 'a1_in1k'"),
    ],
)
def test_an_unknown_timm_model_is_found_before_anything_is_built(model, message):
    with pytest.raises(SpecError) as caught:
        Timm(model=model).preflight()
    assert message in str(caught.value)
    Timm(model="resnet18.a1_in1k").preflight()


def test_a_model_without_feature_maps_is_named(monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("features_only not implemented")

    monkeypatch.setattr("timm.create_model", refuse)
    with pytest.raises(SpecError) as caught:
        Timm(model="resnet18").build(in_channels=3)
    assert str(caught.value) == (
        "timm model 'resnet18' can't be used as a backbone (features_only not implemented); choose one with "
        "feature maps"
    )


@pytest.mark.parametrize("component", [Vgg, Timm])
def test_a_missing_file_of_weights_is_found_before_anything_is_built(component, tmp_path):
    model = {"model": "resnet18"} if component is Timm else {}
    with pytest.raises(
        SpecError, match=r"weights file .*w\.pth does not exist; give an existing file, pretrained or none"
    ):
        component(weights=str(tmp_path / "w.pth"), **model).preflight()
    (tmp_path / "w.pth").touch()
    component(weights=str(tmp_path / "w.pth"), **model).preflight()


def test_a_relative_path_of_weights_is_relative_to_the_spec(tmp_path):
    block = {"depth": 11, "weights": "../w.pth"}
    backbone = Vgg.model_validate(block, context={"base_folder": tmp_path / "specs"})
    assert backbone.weights == str(tmp_path / "w.pth")
    assert Vgg.model_validate(block).weights == "../w.pth"
    assert Vgg.model_validate({"weights": "pretrained"}, context={"base_folder": tmp_path}).weights == "pretrained"


@pytest.mark.parametrize(
    ("weights", "hint"),
    [("pretraned", "did you mean 'pretrained'?"), ("imagenet", "write none, pretrained, store:NAME, or the path")],
)
def test_weights_that_are_neither_a_word_nor_a_file_are_refused(weights, hint):
    with pytest.raises(ValidationError) as caught:
        Vgg(weights=weights)
    (error,) = caught.value.errors()
    assert error["loc"] == ("weights",)
    assert f"'{weights}' is not none, pretrained, store:NAME or a weights file; {hint}" in error["msg"]
    check_weights("none")


def test_pretrained_without_a_network_says_what_to_do(monkeypatch, tmp_path):
    from urllib.error import URLError

    def refuse(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(RunError) as caught:
        Timm(model="resnet18", weights="pretrained").build(in_channels=3)
    assert str(caught.value) == (
        "the pretrained weights of timm model 'resnet18' can't be downloaded (<urlopen error no network>); download "
        "model.safetensors from https://huggingface.co/timm/resnet18.a1_in1k (apache-2.0) elsewhere, and specify its path "
        "(weights: path/to/model.safetensors) or add it to the store (segengine weights add); or use weights: none"
    )
    with pytest.raises(
        RunError,
        match=r"VGG11_BN can't be downloaded .*; download https://download\.pytorch\.org/models/vgg11_bn-\w+\.pth elsewhere",
    ):
        Vgg(depth=11, weights="pretrained").build(in_channels=3)


def test_downloaded_weights_are_recorded_with_source_and_licence(monkeypatch):
    import timm

    state = timm.create_model("resnet18").state_dict()
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: dict(state))
    record = Timm(model="resnet18", weights="pretrained").build(in_channels=3).initial_weights
    assert (record["source"], record["licence"]) == ("https://huggingface.co/timm/resnet18.a1_in1k", "apache-2.0")
    assert record["loaded"] == record["tensors"] > 100


def test_no_constructor_calls_a_hub(monkeypatch):
    calls = []
    monkeypatch.setattr("socket.socket.connect", lambda *a, **k: calls.append(a))
    monkeypatch.setattr("socket.getaddrinfo", lambda *a, **k: calls.append(a) or [])
    Vgg(depth=11).build(in_channels=1)
    Timm(model="resnet18").preflight()
    Timm(model="resnet18.a1_in1k").build(in_channels=3)
    assert calls == []


def test_the_components_import_no_torch():
    code = (
        "import segengine.components.backbones, segengine.components.decoders, segengine.components.losses, sys;"
        "print(sorted({'torch', 'timm', 'torchvision', 'segmentation_models_pytorch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("model", ["resnet18", "convnext_atto", "efficientnet_b0"])
def test_stochastic_depth_grows_from_0_to_drop_path(model):
    component = Timm(model=model, drop_path=0.3)
    component.preflight()
    found = [m.drop_prob for m in component.build(in_channels=3).modules() if type(m).__name__ == "DropPath"]
    assert found == sorted(found)
    assert 0.25 < found[-1] < 0.3 + 1e-6  # EfficientNet's last branch has 15/16


@pytest.mark.parametrize("model", ["vgg11", "densenet121"])
def test_a_model_without_stochastic_depth_says_so_before_any_data_is_read(model):
    Timm(model=model).preflight()
    with pytest.raises(SpecError, match=f"timm model '{model}' has no stochastic depth; omit drop_path"):
        Timm(model=model, drop_path=0.1).preflight()


def test_a_drop_path_of_0_builds_the_network_that_there_was_before():
    torch.manual_seed(0)
    one = Timm(model="convnext_atto").build(in_channels=3)
    torch.manual_seed(0)
    other = Timm(model="convnext_atto", drop_path=0.0).build(in_channels=3)
    assert str(one) == str(other)
    assert "DropPath" not in str(one)
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_look_at_stochastic_depth_draws_no_random_number():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Timm(model="convnext_atto", drop_path=0.1).preflight()
    assert torch.equal(torch.get_rng_state(), before)
