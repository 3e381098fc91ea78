"""Heads that help training: deep supervision and the auxiliary head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from segengine.components.backbones import Timm, Vgg
from segengine.components.decoders import PspNet, Unet, UnetPlusPlus, UperNet
from segengine.components.lookup import component_class, registry
from segengine.nn.auxiliary import SupervisedLoss
from segengine.nn.segmenter import Segmenter

IMAGES = torch.randint(256, (2, 3, 37, 50), dtype=torch.uint8)
NARROW: dict[str, Any] = {"channels": (8, 8, 8, 8, 8)}


def segmenter(backbone: Any, decoder: Any) -> Segmenter:
    torch.manual_seed(0)
    body = backbone.build(in_channels=3, output_stride=decoder.wanted_stride)
    return Segmenter(body, decoder.build(channels=body.channels, strides=body.strides), 3)


@pytest.mark.parametrize(
    ("backbone", "decoder", "heads"),
    [
        (Timm(model="test_resnet"), UnetPlusPlus(**NARROW), 3),
        (Vgg(depth=11), UnetPlusPlus(**NARROW), 4),
        (Timm(model="convnext_atto"), UnetPlusPlus(**NARROW), 2),
        (Timm(model="test_resnet"), PspNet(channels=16, output_stride=32), 1),
        (Timm(model="test_resnet"), UperNet(channels=16), 1),
        (Timm(model="test_resnet"), Unet(**NARROW), 1),
    ],
)
def test_heads_learn_in_training_and_are_absent_from_predictions(backbone: Any, decoder: Any, heads: int) -> None:
    plain, supervised = segmenter(backbone, decoder), segmenter(backbone, decoder)
    names = list(supervised.state_dict())
    supervised.add_auxiliary_heads()
    assert len(supervised.auxiliary) == heads
    logits = supervised.train()(IMAGES)
    assert logits.shape == (2, (1 + heads) * 3, 37, 50)
    SupervisedLoss(nn.CrossEntropyLoss(), 3, 0.4)(logits, torch.zeros(2, 37, 50, dtype=torch.long)).backward()
    assert all(parameter.grad is not None for parameter in supervised.parameters())
    supervised.drop_auxiliary_heads()
    assert list(supervised.state_dict()) == names
    supervised.load_state_dict(plain.state_dict())
    assert torch.equal(supervised.eval()(IMAGES), plain.eval()(IMAGES))


def test_the_main_logits_are_those_without_heads() -> None:
    plain, supervised = (segmenter(Timm(model="test_resnet"), UnetPlusPlus(**NARROW)) for _ in range(2))
    supervised.add_auxiliary_heads()
    assert torch.equal(supervised.train()(IMAGES)[:, :3], plain.train()(IMAGES))


def test_the_loss_is_that_of_the_main_logits_plus_the_weighted_mean_of_the_heads() -> None:
    logits, target = torch.randn(2, 9, 4, 4), torch.randint(3, (2, 4, 4))
    loss = nn.CrossEntropyLoss()
    main, first, second = (loss(part, target) for part in logits.split(3, 1))
    torch.testing.assert_close(SupervisedLoss(loss, 3, 0.4)(logits, target), main + 0.4 * (first + second) / 2)
    assert SupervisedLoss(loss, 3, 0.4)(logits[:, :3], target) == main


class Maps(nn.Module):
    """A backbone of few channels with the strides of a family."""

    mean, std = (0.5,) * 3, (0.2,) * 3

    def __init__(self, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.strides, self.channels = strides, tuple(range(4, 4 + 2 * len(strides), 2))
        self.layers = nn.ModuleList(nn.Conv2d(3, c, 1) for c in self.channels)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [
            layer(nn.functional.avg_pool2d(x, s)) for layer, s in zip(self.layers, self.strides, strict=True)
        ]  # fmt: skip


FAMILIES = {"vgg": (1, 2, 4, 8, 16, 32), "resnet": (2, 4, 8, 16, 32), "convnext": (4, 8, 16, 32)}
DECODERS = [provider.name for provider in registry("decoders").providers]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_trains_auxiliary_heads_on_every_family_of_backbones(name: str, family: str) -> None:
    decoder = component_class("decoders", name)()
    strides = tuple(min(stride, decoder.wanted_stride) for stride in FAMILIES[family])  # type: ignore[attr-defined]
    torch.manual_seed(0)
    body = Maps(strides)
    network = Segmenter(body, decoder.build(channels=body.channels, strides=strides), 3)  # type: ignore[attr-defined]
    network.add_auxiliary_heads()
    logits = network.train()(IMAGES)
    assert logits.shape == (2, 3 * (1 + len(network.auxiliary)), 37, 50)
    SupervisedLoss(nn.CrossEntropyLoss(), 3, 0.4)(logits, torch.zeros(2, 37, 50, dtype=torch.long)).backward()
    for head in network.auxiliary:
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_unet_plus_plus_with_heads_is_one_graph_without_hooks(family: str) -> None:
    body = Maps(FAMILIES[family])
    decoder = UnetPlusPlus(**NARROW).build(channels=body.channels, strides=body.strides)
    network = Segmenter(body, decoder, 3)
    network.add_auxiliary_heads()
    explained = torch._dynamo.explain(network.train())(IMAGES)
    assert explained.graph_count == 1
    assert explained.graph_break_count == 0
