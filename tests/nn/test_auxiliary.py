"""Heads that help training: deep supervision and the auxiliary head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from segengine.components.backbones import Timm, Vgg
from segengine.components.decoders import PspNet, Unet, UnetPlusPlus, UperNet
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
