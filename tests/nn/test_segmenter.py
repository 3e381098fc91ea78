"""The whole network: sizes, normalisation, precision."""

import pytest
import torch
from torch import nn

from segengine.nn.contracts import BackboneModule, DecoderModule
from segengine.nn.decoders.doubling import unet
from segengine.nn.segmenter import Segmenter
from segengine.nn.vgg import Vgg


class Recorder(nn.Module):
    """A backbone that keeps what it gets, and gives it at stride 4."""

    channels = (3,)
    strides = (4,)
    mean = (0.5, 0.25, 0.0)
    std = (0.5, 1.0, 2.0)

    def forward(self, x):
        self.seen = x
        return [x[..., ::4, ::4]]


class First(nn.Module):
    out_channels = 3
    stride = 4

    def forward(self, features):
        return features[0]


def small(in_channels=3):
    torch.manual_seed(0)
    backbone = Vgg(11, batch_norm=True, in_channels=in_channels)
    return Segmenter(backbone, unet(backbone.channels, backbone.strides, block_channels=(32, 32, 16, 16, 8)), 4)


@pytest.fixture(scope="module")
def network():
    return small().eval()


def test_real_modules_fulfil_the_contracts(network):
    assert isinstance(network.backbone, BackboneModule)
    assert isinstance(network.decoder, DecoderModule)


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (33, 31), (7, 70)])
def test_logits_have_the_size_of_the_image_whatever_it_is(network, size):
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    with torch.inference_mode():
        logits = network(images)
    assert logits.shape == (2, 4, *size)
    assert logits.dtype == torch.float32


def test_uint8_and_float_images_give_equal_logits(network):
    images = torch.randint(0, 256, (1, 3, 40, 32), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), network(images.float()), rtol=0, atol=0)


def test_the_backbone_sees_normalised_images_padded_by_their_border():
    network = Segmenter(Recorder(), First(), 2)
    network(torch.tensor([0, 255, 51, 102], dtype=torch.uint8).view(1, 1, 2, 2).expand(1, 3, 2, 2))
    seen = network.backbone.seen
    assert seen.shape == (1, 3, 4, 4)
    torch.testing.assert_close(seen[0, 0, :2, :2], torch.tensor([[-1.0, 1.0], [-0.6, -0.2]]))
    torch.testing.assert_close(seen[0, 2, :2, :2], torch.tensor([[0.0, 0.5], [0.1, 0.2]]))
    assert torch.equal(seen[0, 0, 2], seen[0, 0, 1])
    assert torch.equal(seen[0, 0, :, 3], seen[0, 0, :, 1])


def test_a_constant_image_gives_constant_logits_when_features_are_resized():
    logits = Segmenter(Recorder(), First(), 2)(torch.full((1, 3, 19, 30), 77, dtype=torch.uint8))
    torch.testing.assert_close(logits, logits[..., :1, :1].expand_as(logits))


def test_the_normalisation_travels_with_the_state(network):
    other = small()
    other.mean.zero_()
    other.load_state_dict(network.state_dict())
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(other.eval()(images), network(images))


def test_logits_are_float32_under_autocast(network):
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).dtype == torch.float32


def test_channels_last_changes_no_result(network):
    images = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8)
    with torch.inference_mode():
        expected = network(images)
        network.to(memory_format=torch.channels_last)
        found = network(images.to(memory_format=torch.channels_last))
        network.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
