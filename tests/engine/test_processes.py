"""Two and three processes with gloo: they train, count and measure what one does."""

from __future__ import annotations

import pickle
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segengine.engine.distributed import World
from segengine.engine.evaluation import evaluate
from segengine.engine.precision import pick_precision
from segengine.engine.prediction import Predictor
from tests.engine.several import measure, process, train
from tests.engine.tiny import CPU, Bright, network
from tests.training.children import context

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def on(size: int, folder: Path) -> list[dict[str, Any]]:
    port = free_port()
    workers = [context().Process(target=process, args=(rank, size, port, folder)) for rank in range(size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(size)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process trains."""
    torch.set_num_threads(1)
    return train(tmp_path_factory.mktemp("alone"), World(torch.device("cpu")))


@pytest.fixture(scope="module", params=[2, 3])
def together(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of several processes does."""
    return on(request.param, tmp_path_factory.mktemp("together"))


def assert_same_training(several: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    """Up to the order of sums."""
    assert len({result["hash"] for result in several}) == 1
    for result in several:
        assert result["counts"] == several[0]["counts"]
        assert result["images"] == alone["images"]
        np.testing.assert_allclose(result["losses"], alone["losses"], rtol=1e-4)
        for ours, theirs in zip(result["weights"], alone["weights"], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_several_processes_compute_what_one_does(together: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    size, results = len(together), [result["plenty"] for result in together]
    assert_same_training(results, alone)
    # The same samples: the processes' shares, interleaved, are the one process's batches.
    shares = [result["seen"] for result in results]
    joined = [[part[j // size] for j in range(6) for part in [step[j % size]]] for step in zip(*shares, strict=True)]
    assert joined == alone["seen"]


def test_seven_images_are_counted_once_each_on_two_and_three_processes(together: list[dict[str, Any]]) -> None:
    counts = together[0]["plenty"]["counts"]
    assert sorted(counts) == list(range(7))
    assert sum(np.sum(table) for table in counts.values()) == 7 * (20 * 24 - 9)


def test_counts_and_metrics_equal_those_of_one_process_to_the_last_digit(together: list[dict[str, Any]]) -> None:
    expected = measure(World(torch.device("cpu")))
    assert [result["measured"] for result in together] == [expected] * len(together)


def test_what_is_scored_is_what_is_saved_though_batch_norm_saw_other_images(together: list[dict[str, Any]]) -> None:
    results = [result["normalised"] for result in together]
    assert len({result["hash"] for result in results}) == 1
    model = network()
    model.load_state_dict(results[0]["saved"])
    predictor = Predictor(model, CPU, pick_precision("auto", CPU))
    again = {index: table.tolist() for index, table in evaluate(predictor, Bright(), range(7), 2, World(CPU)).items()}
    assert [result["counts"] for result in results] == [again] * len(results)


def test_where_one_process_lacks_memory_all_take_smaller_parts_and_make_the_same_steps(
    together: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    results = [result["scarce"] for result in together]
    assert [result["micro_batch"] for result in results] == [1] * len(results)
    assert_same_training(results, alone)


def test_a_nan_gradient_of_one_process_stops_both_at_the_same_step_with_finite_weights(
    together: list[dict[str, Any]],
) -> None:
    if len(together) != 2:
        pytest.skip("two processes are enough")
    first, second = (result["broken"] for result in together)
    assert first == second
    assert first.startswith("the gradient became infinite or NaN at images image4 (learning rate ")
    assert first.endswith("; finite weights")
