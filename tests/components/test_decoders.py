"""Built-in decoders: each fits every backbone's strides, any size and a batch of one."""

import pytest
import torch
from pydantic import ValidationError

from segengine.components.backbones import Timm, Vgg
from segengine.components.decoders import (
    DeepLabV3Plus,
    Fpn,
    Linknet,
    Manet,
    PspNet,
    SegFormer,
    Unet,
    UnetPlusPlus,
    UperNet,
)
from segengine.errors import SpecError
from segengine.nn.segmenter import Segmenter

WIDTHS = (32, 32, 16, 16, 8)
DECODERS = [
    Unet(channels=WIDTHS),
    UnetPlusPlus(channels=WIDTHS),
    Manet(channels=WIDTHS, attention_channels=8),
    Linknet(channels=8),
    Fpn(pyramid_channels=32, segmentation_channels=64),
    DeepLabV3Plus(channels=16, skip_channels=8),
    PspNet(channels=32),
    UperNet(channels=16),
    SegFormer(channels=16),
]
FULL_SIZE = DECODERS[:4]
KINDS = {  # channels and strides of VGG, ResNet, ConvNeXt and a dilated ResNet, with fewer channels
    "vgg": ((8, 12, 16, 20, 24, 24), (1, 2, 4, 8, 16, 32)),
    "resnet": ((8, 8, 12, 16, 20), (2, 4, 8, 16, 32)),
    "convnext": ((8, 12, 16, 20), (4, 8, 16, 32)),
    "dilated": ((8, 8, 12, 16, 20), (2, 4, 8, 16, 16)),
}
each_decoder = pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: d.name)
each_kind = pytest.mark.parametrize("kind", KINDS)


def maps(kind, height, width, batch=2, *, rounded=lambda n, s: n // s):
    channels, strides = KINDS[kind]
    return [
        torch.rand(batch, c, max(1, rounded(height, s)), max(1, rounded(width, s)), requires_grad=True)
        for c, s in zip(channels, strides, strict=True)
    ]


def built(decoder, kind):
    torch.manual_seed(0)
    channels, strides = KINDS[kind]
    return decoder.build(channels=channels, strides=strides)


@each_decoder
@each_kind
def test_the_result_has_the_declared_channels_and_stride(decoder, kind):
    module = built(decoder, kind)
    result = module(maps(kind, 64, 96))
    assert result.shape == (2, module.out_channels, 64 // module.stride, 96 // module.stride)


@each_decoder
@each_kind
def test_every_parameter_is_reached_by_a_gradient(decoder, kind):
    module = built(decoder, kind)
    module(maps(kind, 64, 64)).square().sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


@each_decoder
@pytest.mark.parametrize("rounded", [lambda n, s: n // s, lambda n, s: -(-n // s)], ids=["down", "up"])
def test_maps_of_odd_sizes_pass(decoder, rounded):
    module = built(decoder, "vgg").eval()
    with torch.inference_mode():
        result = module(maps("vgg", 53, 39, rounded=rounded))
    assert result.shape[:2] == (2, module.out_channels)
    assert result.isfinite().all()


@each_decoder
def test_a_batch_of_one_with_a_single_deepest_pixel_can_be_trained(decoder):
    module = built(decoder, "resnet").train()
    module(maps("resnet", 32, 32, batch=1)).sum().backward()
    assert all(p.grad.isfinite().all() for p in module.parameters())


@each_decoder
def test_the_state_goes_from_one_decoder_to_another(decoder):
    one = built(decoder, "vgg").eval()
    channels, strides = KINDS["vgg"]
    other = decoder.build(channels=channels, strides=strides).eval()
    given = maps("vgg", 32, 32)
    with torch.inference_mode():
        assert not torch.equal(one(list(given)), other(list(given)))
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(list(given)), other(list(given)))


@each_decoder
def test_the_list_of_maps_is_left_as_it_was(decoder):
    given = maps("vgg", 32, 32)
    before = [m.detach().clone() for m in given]
    built(decoder, "vgg")(given)
    assert len(given) == 6
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


@pytest.mark.parametrize("decoder", FULL_SIZE, ids=lambda d: d.name)
def test_the_map_at_full_size_that_vgg_has_is_used(decoder):
    given = maps("vgg", 32, 32)
    built(decoder, "vgg")(given).square().sum().backward()
    assert float(given[0].grad.abs().sum()) > 0


@pytest.mark.parametrize("decoder", FULL_SIZE, ids=lambda d: d.name)
@each_kind
def test_decoders_of_the_unet_family_end_at_stride_1(decoder, kind):
    assert built(decoder, kind).stride == 1


def test_the_others_end_at_stride_4_or_at_the_deepest():
    strides = {d.name: built(d, "vgg").stride for d in DECODERS[4:]}
    assert strides == {"fpn": 4, "deeplabv3-plus": 4, "pspnet": 32, "upernet": 4, "segformer": 4}


def test_only_dilating_decoders_ask_for_a_smaller_stride():
    assert {d.name: d.wanted_stride for d in DECODERS if d.wanted_stride != 32} == {"deeplabv3-plus": 16, "pspnet": 8}
    assert DeepLabV3Plus(output_stride=8).wanted_stride == 8


def test_unet_adds_the_channels_of_both_sides_of_each_skip():
    module = built(Unet(channels=WIDTHS), "vgg")
    inputs = [block.conv1[0].in_channels for block in module.core.blocks]
    assert inputs == [24 + 24, 32 + 20, 32 + 16, 16 + 12, 16 + 8]
    assert [block.conv1[0].in_channels for block in built(Unet(channels=WIDTHS), "resnet").core.blocks][-1] == 16


def test_too_few_channels_for_the_backbone_are_named():
    with pytest.raises(
        SpecError, match=r"`channels` has 2 values, but this backbone .deepest stride 32. requires 5; add values"
    ):
        built(Unet(channels=(32, 16)), "vgg")


def test_unet_plus_plus_says_when_a_transformer_lacks_the_maps_that_it_needs():
    with pytest.raises(SpecError, match="unet-plus-plus requires a feature map at each stride from 4 on"):
        UnetPlusPlus().build(channels=(8, 8), strides=(16, 16))


@pytest.mark.parametrize("decoder", [d for d in DECODERS if d.name != "unet-plus-plus"], ids=lambda d: d.name)
def test_the_maps_of_a_plain_transformer_do(decoder):
    module = decoder.build(channels=(8, 8, 8), strides=(16, 16, 16))
    result = module([torch.rand(2, 8, 4, 2) for _ in range(3)])
    assert result.shape == (2, module.out_channels, 64 // module.stride, 32 // module.stride)


@pytest.mark.parametrize(
    ("cls", "settings"),
    [(Fpn, {"segmentation_channels": 80}), (DeepLabV3Plus, {"output_stride": 4}), (Unet, {"channels": []}),
     (PspNet, {"dropout": 1.0}), (DeepLabV3Plus, {"atrous_rates": [6, 12]})],
)  # fmt: skip
def test_settings_out_of_range_are_refused(cls, settings):
    with pytest.raises(ValidationError):
        cls(**settings)


@each_decoder
@pytest.mark.parametrize("backbone", [Vgg(depth=11), Timm(model="convnext_atto")], ids=lambda b: b.name)
def test_each_decoder_makes_a_segmenter_with_each_kind_of_backbone(decoder, backbone):
    network = backbone.build(in_channels=1, output_stride=decoder.wanted_stride)
    segmenter = Segmenter(network, decoder.build(channels=network.channels, strides=network.strides), 3).eval()
    with torch.inference_mode():
        assert segmenter(torch.randint(0, 256, (1, 1, 37, 45), dtype=torch.uint8)).shape == (1, 3, 37, 45)
