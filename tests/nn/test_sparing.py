"""On a CPU less is kept for the backward pass, and no number changes."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import nn

from segengine.nn import sparing
from segengine.nn.segmenter import Segmenter
from segengine.nn.sparing import SparingBlock, sparingly
from segengine.nn.vgg import Vgg
from tests.nn.test_recomputing import after_two_passes, assert_same, images, kept_bytes, network, resnet, timm, vgg

torch.set_num_threads(1)

NEVER = 1 << 60


@pytest.fixture(autouse=True)
def _every_map_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparing, "LARGE", 1)


def assert_same_as_keeping(model: Segmenter, monkeypatch: pytest.MonkeyPatch, share: float = 2) -> None:
    """Gradients and statistics are those of a network that keeps every map; ours keeps at most this share."""
    plain, less = copy.deepcopy(model), kept_bytes(copy.deepcopy(model))
    ours = after_two_passes(model)
    with monkeypatch.context() as patch:
        patch.setattr(sparing, "LARGE", NEVER)
        everything = kept_bytes(copy.deepcopy(plain))
        assert_same(after_two_passes(plain), ours)
    assert less < share * everything, less / everything


CASES = [
    (vgg, "unet", 0.7),
    (lambda: vgg(batch_norm=False), "unet", 0.9),
    (resnet, "unet", 0.9),
    (lambda: timm("test_efficientnet", drop_path=0.5), "unet", 0.9),
    (lambda: timm("test_convnext"), "unet", 1.0),
    (vgg, "fpn", 0.9),
]  # fmt: skip
"""At most this share is kept."""


@pytest.mark.parametrize(("backbone", "decoder", "share"), CASES)
def test_gradients_and_statistics_have_the_same_bits_and_less_is_kept(
    backbone: Callable[[], nn.Module], decoder: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_same_as_keeping(network(backbone, decoder), monkeypatch, share)


def test_in_bf16_the_second_pass_computes_in_bf16_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same_as_keeping(network(vgg), monkeypatch)


def test_a_frozen_backbone_computes_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = network(vgg)
    ours.freeze_backbone()
    assert_same_as_keeping(copy.deepcopy(ours), monkeypatch)
    calls = passes(ours.backbone)
    ours(images()).sum().backward()
    assert set(calls.values()) == {1}


def passes(model: nn.Module) -> dict[nn.Module, int]:
    """How often each convolution and normalisation inside computes, counted from now on."""
    calls: dict[nn.Module, int] = {}

    def count(module: nn.Module, *_: object) -> None:
        calls[module] = calls.get(module, 0) + 1

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.register_forward_hook(count)
    return calls


def test_no_convolution_computes_twice() -> None:
    model = network(vgg)
    calls = passes(model)
    model(images()).sum().backward()
    assert {times for module, times in calls.items() if isinstance(module, nn.Conv2d)} == {1}
    assert 2 in {times for module, times in calls.items() if isinstance(module, nn.BatchNorm2d)}


def test_checkpointing_keeps_what_it_kept_and_nothing_is_nested() -> None:
    ours = network(vgg)
    plain = copy.deepcopy(ours)
    ours.recompute_activations()
    assert kept_bytes(copy.deepcopy(ours)) < kept_bytes(copy.deepcopy(plain))
    calls = passes(ours)
    ours(images()).sum().backward()
    assert max(calls.values()) == 2


def test_small_maps_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparing, "LARGE", NEVER)
    model = network(vgg)
    calls = passes(model)
    model(images()).sum().backward()
    assert set(calls.values()) == {1}


def test_where_no_gradient_is_wanted_nothing_is_different(monkeypatch: pytest.MonkeyPatch) -> None:
    model, shown = network(vgg).eval(), images()
    with torch.inference_mode():
        ours = model(shown)
        monkeypatch.setattr(sparing, "LARGE", NEVER)
        assert torch.equal(ours, model(shown))


def test_a_traced_network_has_the_same_gradients() -> None:
    plain = network(vgg)
    traced, shown = copy.deepcopy(plain), images()
    torch.compile(traced, backend="aot_eager", dynamic=False)(shown).square().mean().backward()
    plain(shown).square().mean().backward()
    for ours, theirs in zip(traced.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_layer_that_changes_its_input_in_place_is_never_the_first_to_be_repeated() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(2, 2, 1))
    x = torch.randn(1, 2, 4, 4)
    first, second = x.clone().requires_grad_(), x.clone().requires_grad_()
    layers(first * 1).sum().backward()
    sparingly(list(layers), second * 1).sum().backward()
    assert torch.equal(first.grad, second.grad)  # type: ignore[arg-type]


def test_weights_have_the_names_and_maps_the_values_of_smp() -> None:
    made = Vgg(11, batch_norm=True, in_channels=1)
    core = UnetDecoder((1, *made.channels), (16, 8, 4, 2), n_blocks=4).train()
    ours = nn.ModuleList(SparingBlock(block) for block in copy.deepcopy(core.blocks))  # type: ignore[arg-type]
    assert list(ours.state_dict()) == list(core.blocks.state_dict())
    for theirs, block in zip(core.blocks, ours, strict=True):
        channels, skips = theirs.conv1[0].in_channels, 3  # type: ignore[union-attr, index]
        x = torch.randn(2, channels - skips, 4, 4)
        skip = torch.randn(2, skips, 8, 8)
        assert torch.equal(block(x, 8, 8, skip), theirs(x, 8, 8, skip))
