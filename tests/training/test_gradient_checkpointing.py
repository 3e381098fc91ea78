"""Runs with gradient checkpointing end with the bits of runs without, from start to end or changing on the way."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import socket
from pathlib import Path

import pytest
import torch
import yaml

from segengine.components.optimizers import AdamW
from segengine.engine.checkpoint import Progress, capture, restore, weights_hash
from segengine.engine.distributed import open_world
from segengine.nn.segmenter import Segmenter
from tests.training.children import Blow, run
from tests.training.small import SPEC, VARIANTS, Study, write_problem
from tests.training.small_net import segmenter, steps, trainable
from tests.training.test_killed_run import PLAIN, STEP, assert_equals_undisturbed, folder_of, said

AGAIN = ("-s", "training.gradient_checkpointing=true")


def network(*, again: bool, frozen: bool = False) -> Segmenter:
    """With batch normalisation and dropout in its backbone."""
    model = segmenter(frozen=frozen)
    if again:
        model.recompute_activations()
    return model


@pytest.mark.parametrize("frozen", [False, True])
def test_weights_statistics_and_their_moving_average_have_the_same_bits(frozen: bool) -> None:
    hashes = []
    for again in (False, True):
        parts = trainable(network(again=again, frozen=frozen), ema=True)
        steps(parts, range(5))
        assert parts.average is not None
        hashes.append((weights_hash(parts.model), weights_hash(parts.average.module)))
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("first", [False, True])
def test_training_goes_on_with_or_without_it_to_the_same_bits(first: bool) -> None:
    straight = network(again=False)
    steps(trainable(straight, optimizer=AdamW()), range(6))

    parts = trainable(network(again=first), optimizer=AdamW())
    steps(parts, range(3))
    saved = copy.deepcopy(capture(parts, Progress(step=3)))
    parts = trainable(network(again=not first), optimizer=AdamW())
    restore(saved, parts)
    steps(parts, range(3, 6))
    assert weights_hash(parts.model) == weights_hash(straight)


def test_a_killed_run_with_it_goes_on_without_and_ends_as_one_left_alone(study: Study, tmp_path: Path) -> None:
    problem = write_problem(tmp_path, SPEC + VARIANTS).parent
    assert run(*PLAIN, *AGAIN, folder=problem, blow=Blow(STEP, 5)) == -signal.SIGKILL, said(problem)
    assert yaml.safe_load((folder_of(problem) / "spec.yaml").read_text())["training"]["gradient_checkpointing"] is True
    assert run(*PLAIN, folder=problem) == 0, said(problem)
    assert_equals_undisturbed(problem, study)


def process(rank: int, port: int, folder: Path) -> None:
    """One of two that train with and without; leaves both hashes."""
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    with open_world("cpu") as world:
        models = [network(again=again) for again in (False, True)]
        for model in models:
            torch.manual_seed(7 + rank)
            steps(trainable(model), range(4), world)
    (folder / str(rank)).write_text("\n".join(map(weights_hash, models)))


@pytest.mark.slow
def test_two_processes_end_with_the_same_bits_with_and_without(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=process, args=(rank, port, tmp_path)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
        assert worker.exitcode == 0
    for rank in range(2):
        without, with_it = (tmp_path / str(rank)).read_text().splitlines()
        assert with_it == without
