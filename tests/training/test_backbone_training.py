"""A frozen backbone stays bit-equal, a slow one moves by its factor, and without either nothing is different."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import socket
from pathlib import Path

import pytest
import torch

from segengine.building.build import parameter_groups
from segengine.components.optimizers import AdamW, Sgd
from segengine.engine.checkpoint import Progress, capture, restore, weights_hash
from segengine.nn.segmenter import Segmenter
from segengine.specs.sections import TrainingSection
from tests.training.small_net import batch, frozen_process, segmenter, steps, trainable


def state(model: Segmenter) -> dict[str, torch.Tensor]:
    return copy.deepcopy(dict(model.state_dict()))


def test_a_frozen_backbone_keeps_weights_and_statistics_bit_for_bit_while_the_rest_learns() -> None:
    model = segmenter(frozen=True)
    before, parts = state(model), trainable(model, ema=True)
    steps(parts, range(5))
    assert parts.average is not None
    for after in (model.state_dict(), parts.average.module.state_dict()):
        changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
        assert changed
        assert not [name for name in changed if name.startswith("backbone.")]
        assert {"head.weight", "head.bias"} <= changed


def test_a_frozen_backbone_runs_as_in_evaluation_and_has_no_gradients() -> None:
    model = segmenter(frozen=True)
    assert model.train() is model
    assert model.training
    assert model.decoder.training
    assert not any(module.training for module in model.backbone.modules())
    model(batch(0).images).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == [
        name for name, _ in model.named_parameters() if name.startswith("backbone.")
    ]


def test_the_optimizer_does_not_hold_a_frozen_backbone() -> None:
    model = segmenter(frozen=True)
    held = [p for group in parameter_groups(model, TrainingSection()) for p in group["params"]]
    assert len(held) == len(list(model.parameters())) - len(list(model.backbone.parameters()))


def moves(factor: float) -> dict[str, torch.Tensor]:
    model = segmenter()
    before = state(model)
    optimizer = Sgd(learning_rate=0.1, momentum=0.0, weight_decay=0.0)
    steps(trainable(model, optimizer=optimizer, backbone_learning_rate_factor=factor), range(1))
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


def test_the_factor_scales_the_backbone_s_updates_and_no_others() -> None:
    whole, tenth = moves(1.0), moves(0.1)
    for name, move in whole.items():
        expected = 0.1 * move if name.startswith("backbone.") else move
        torch.testing.assert_close(tenth[name], expected, rtol=1e-4, atol=1e-6)


def test_the_factor_keeps_what_decays_and_the_first_group_at_the_optimizer_s_rate() -> None:
    model = segmenter()
    parts = trainable(model, optimizer=AdamW(learning_rate=0.5, weight_decay=0.3), backbone_learning_rate_factor=0.1)
    groups = parts.optimizer.param_groups
    assert [group["initial_lr"] for group in groups] == pytest.approx([0.5, 0.5, 0.05, 0.05])
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0, 0.3, 0.0]
    assert all(p.ndim > 1 for group in groups[::2] for p in group["params"])
    assert all(p.ndim <= 1 for group in groups[1::2] for p in group["params"])
    inside = {id(p) for p in model.backbone.parameters()}
    assert {id(p) for group in groups[2:] for p in group["params"]} == inside
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_without_a_factor_the_groups_are_weights_and_vectors_of_the_whole_network() -> None:
    model = segmenter()
    weights, vectors = parameter_groups(model, TrainingSection())
    assert weights == {"params": [p for p in model.parameters() if p.ndim > 1]}
    assert vectors == {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0}


def test_the_way_through_groups_of_their_own_trains_to_the_same_bits() -> None:
    two, four = segmenter(), segmenter()
    steps(trainable(two, optimizer=AdamW()), range(4))
    torch.manual_seed(6)
    parts = trainable(four, optimizer=AdamW(), backbone_learning_rate_factor=0.5)
    parts.schedule.base_lrs = [parts.schedule.base_lrs[0]] * 4
    for group in parts.optimizer.param_groups:
        group["lr"] = parts.optimizer.param_groups[0]["lr"]
    steps(parts, range(4))
    assert weights_hash(four) == weights_hash(two)


@pytest.mark.parametrize("setting", ["frozen", "factor", "both"])
def test_a_resumed_run_ends_with_the_same_bits(setting: str) -> None:
    frozen, more = setting != "factor", {} if setting == "frozen" else {"backbone_learning_rate_factor": 0.1}
    straight = segmenter(frozen=frozen)
    steps(trainable(straight, optimizer=AdamW(), **more), range(6))

    first = segmenter(frozen=frozen)
    parts = trainable(first, optimizer=AdamW(), **more)
    steps(parts, range(3))
    saved = copy.deepcopy(capture(parts, Progress(step=3)))
    torch.manual_seed(99)
    second = segmenter(frozen=frozen)
    parts = trainable(second, optimizer=AdamW(), **more)
    assert restore(saved, parts).step == 3
    steps(parts, range(3, 6))
    assert weights_hash(second) == weights_hash(straight)


@pytest.mark.slow
def test_two_processes_keep_a_frozen_backbone_and_agree_on_the_rest(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=frozen_process, args=(rank, 2, port, tmp_path)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
        assert worker.exitcode == 0
    states = [pickle.loads((tmp_path / f"{rank}.pickle").read_bytes()) for rank in range(2)]
    start = segmenter(frozen=True).state_dict()
    for name, tensor in start.items():
        if name.startswith("backbone."):
            assert states[0][name] == states[1][name] == tensor.tolist()
    for name, _ in segmenter().named_parameters():
        assert states[0][name] == states[1][name]
    assert states[0]["head.weight"] != start["head.weight"].tolist()
