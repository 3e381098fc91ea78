"""Gradient checkpointing: fewer maps are kept, and no number changes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from segengine.components.lookup import component_class
from segengine.engine.checkpoint import weights_hash
from segengine.engine.cost import macs
from segengine.nn.recomputing import recompute
from segengine.nn.segmenter import Segmenter
from segengine.nn.timm_backbone import TimmBackbone, build_timm
from segengine.nn.vgg import Vgg
from tests.training.small_net import SmallBackbone, batch, segmenter

torch.set_num_threads(1)


def timm(model: str, **options: float) -> nn.Module:
    return build_timm(model, in_channels=1, output_stride=32, weights="none", **options)


def resnet() -> nn.Module:
    return pytest.importorskip("segengine_resnet").ResNet(depth=18).build(in_channels=1)  # type: ignore[no-any-return]


def vgg(*, batch_norm: bool = True) -> nn.Module:
    return Vgg(11, batch_norm=batch_norm, in_channels=1)


def network(backbone: Callable[[], nn.Module], decoder: str = "unet", *, auxiliary: bool = False) -> Segmenter:
    torch.manual_seed(0)
    made = backbone()
    head = component_class("decoders", decoder)().build(channels=made.channels, strides=made.strides)  # type: ignore[attr-defined]
    model = Segmenter(made, head, 3)  # type: ignore[arg-type]
    if auxiliary:
        model.add_auxiliary_heads()
    return model.train()


def images() -> Tensor:
    return torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)


Outcome = tuple[dict[str, Tensor], str, Tensor]


def after_two_passes(model: nn.Module) -> Outcome:
    """Gradients, the hash of weights and buffers, and the place of torch's generator."""
    torch.manual_seed(1)
    for _ in range(2):
        model(images()).square().mean().backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return grads, weights_hash(model), torch.get_rng_state()


def assert_equal_bits(plain: nn.Module, saving: nn.Module) -> None:
    assert_same(after_two_passes(plain), after_two_passes(saving))


def assert_same(plain: Outcome, saving: Outcome) -> None:
    grads, weights, place = plain
    ours, our_weights, our_place = saving
    assert list(ours) == list(grads)
    assert [name for name in grads if not torch.equal(ours[name], grads[name])] == []
    assert our_weights == weights
    assert torch.equal(our_place, place)


def kept_bytes(model: Segmenter) -> int:
    """What a forward pass keeps for the backward pass besides weights, each tensor once."""
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(images()).mean()
    del loss
    weights = sum(seen.get(p.untyped_storage().data_ptr(), 0) for p in model.parameters())
    return sum(seen.values()) - weights


CASES = [
    (vgg, "unet", False, 0.5),
    (lambda: vgg(batch_norm=False), "manet", False, 0.6),
    (resnet, "unet", False, 0.35),
    (lambda: timm("resnet18", drop_path=0.5), "fpn", True, 0.35),
    (lambda: timm("test_resnet"), "unet-plus-plus", True, 0.5),
    (lambda: timm("test_convnext", drop_path=0.5), "upernet", False, 0.35),
    (lambda: timm("test_efficientnet", drop_path=0.5), "linknet", False, 0.5),
    (lambda: timm("test_vit"), "segformer", False, 0.35),
    (lambda: timm("hrnet_w18_small"), "deeplabv3-plus", False, 0.2),
    (SmallBackbone, "pspnet", False, 0.6),
]  # fmt: skip
"""Backbones with stages, with blocks, and as a whole; with every way of decoding. At most this share is kept."""


@pytest.mark.parametrize(("backbone", "decoder", "auxiliary", "share"), CASES)
def test_gradients_statistics_and_random_numbers_have_the_same_bits_and_less_is_kept(
    backbone: Callable[[], nn.Module], decoder: str, auxiliary: bool, share: float
) -> None:
    plain = network(backbone, decoder, auxiliary=auxiliary)
    saving = copy.deepcopy(plain)
    saving.recompute_activations()
    ours, theirs = kept_bytes(copy.deepcopy(saving)), kept_bytes(copy.deepcopy(plain))
    assert ours < share * theirs, ours / theirs
    assert list(saving.state_dict()) == list(plain.state_dict())
    assert_equal_bits(plain, saving)


class Nested(nn.Module):
    """A transformer of timm whose stages are lists of blocks, as Twins is: nobody calls the lists."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_info = SimpleNamespace(channels=lambda: [8], reduction=lambda: [1])
        convolutions = [nn.Conv2d(8, 8, 1) for _ in range(4)]
        parts = [nn.Sequential(each, nn.BatchNorm2d(8), nn.GELU(), nn.Dropout(0.5)) for each in convolutions]
        self.first = nn.Conv2d(1, 8, 1)
        self.blocks = nn.ModuleList([nn.ModuleList(parts[:2]), nn.ModuleList(parts[2:])])

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.first(x)
        for stage in self.blocks:
            for block in stage:  # type: ignore[attr-defined]
                x = block(x)
        return [x]


def test_stages_that_are_lists_of_blocks_are_computed_again_block_by_block() -> None:
    plain = Segmenter(TimmBackbone(Nested(), 1, (0.5,) * 3, (0.5,) * 3), First(), 2).train()
    saving = copy.deepcopy(plain)
    saving.recompute_activations()
    assert kept_bytes(copy.deepcopy(saving)) < 0.5 * kept_bytes(copy.deepcopy(plain))
    assert_equal_bits(plain, saving)


class First(nn.Module):
    """A decoder that gives the first map."""

    out_channels, stride = 8, 1

    def forward(self, features: list[Tensor]) -> Tensor:
        return features[0]


def test_in_bf16_the_second_pass_computes_in_bf16_too() -> None:
    class Autocast(nn.Module):
        def __init__(self, model: Segmenter) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                result: Tensor = self.model(x)
            return result

    plain = network(lambda: timm("test_resnet"))
    saving = copy.deepcopy(plain)
    saving.recompute_activations()
    assert_equal_bits(Autocast(plain), Autocast(saving))


class Counting(nn.Module):
    """Counts its passes in two buffers, one changed and one exchanged, and computes with them."""

    passes: Tensor
    again: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))
        self.register_buffer("again", torch.zeros(()))
        self.layer = nn.Conv2d(1, 1, 1)
        self.broken = False

    def forward(self, x: Tensor) -> Tensor:
        if self.broken:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.passes += 1
        self.again = self.again + 1
        result: Tensor = (self.layer(x.float()) * self.passes * self.again).sigmoid()
        return result


def test_the_second_pass_finds_the_buffers_of_the_first_and_leaves_them_alone() -> None:
    plain, saving = Counting(), Counting()
    saving.load_state_dict(plain.state_dict())
    recompute(saving)
    assert_equal_bits(plain, saving)
    assert (saving.passes, saving.again) == (2, 2)


def test_a_second_pass_that_fails_leaves_the_buffers_too() -> None:
    module = Counting()
    recompute(module)
    loss = module(torch.zeros(1, 1, 2, 2)).sum()
    passes, module.broken = module.passes, True
    with pytest.raises(torch.OutOfMemoryError):
        loss.backward()
    assert module.passes is passes
    assert module.passes == 1


def test_the_power_iteration_of_spectral_normalisation_goes_on_once() -> None:
    torch.manual_seed(0)
    plain = nn.utils.parametrizations.spectral_norm(nn.Conv2d(1, 4, 3))
    saving = copy.deepcopy(plain)
    recompute(saving)
    for module in (plain, saving):
        torch.manual_seed(1)
        for _ in range(2):
            module(torch.randn(1, 1, 8, 8)).square().sum().backward()
    assert weights_hash(saving) == weights_hash(plain)
    for ours, theirs in zip(saving.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)  # type: ignore[arg-type]


def test_a_copy_recomputes_with_weights_of_its_own() -> None:
    model = network(vgg)
    model.recompute_activations()
    other = copy.deepcopy(model)
    other(images()).sum().backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in other.parameters())


def test_a_frozen_backbone_keeps_its_bits_and_the_rest_learns_as_without() -> None:
    plain = network(lambda: timm("test_resnet", drop_path=0.5))
    plain.freeze_backbone()
    saving = copy.deepcopy(plain)
    saving.recompute_activations()
    assert kept_bytes(copy.deepcopy(saving)) < kept_bytes(copy.deepcopy(plain))
    assert_equal_bits(plain, saving)


def test_where_no_gradient_is_wanted_nothing_is_different() -> None:
    plain = network(vgg)
    saving = copy.deepcopy(plain)
    saving.recompute_activations()
    assert macs(saving, 1, 32, 32) == macs(plain, 1, 32, 32)
    shown = images()
    with torch.inference_mode():
        assert torch.equal(saving.eval()(shown), plain.eval()(shown))


def test_a_traced_network_has_the_same_gradients_and_statistics() -> None:
    plain = segmenter().train()
    saving = copy.deepcopy(plain)
    saving.recompute_activations()
    for model in (plain, saving):
        torch.manual_seed(1)
        torch.compile(model, backend="aot_eager", dynamic=False)(batch(0).images).square().mean().backward()
    for ours, theirs in zip(saving.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, theirs in zip(saving.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
