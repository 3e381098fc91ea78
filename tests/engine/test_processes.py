from __future__ import annotations

import multiprocessing
import pickle
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segengine.engine.world import World
from tests.engine.several import process, train


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def on(size: int, folder: Path, most: int | None = None) -> list[dict[str, Any]]:
    port = free_port()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=process, args=(rank, size, port, folder, most)) for rank in range(size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(size)]


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_compute_what_one_does(size: int, tmp_path: Path) -> None:
    alone = train(tmp_path / "alone", World(torch.device("cpu")))
    together = on(size, tmp_path)
    assert len({result["hash"] for result in together}) == 1
    for result in together:
        assert result["counts"] == together[0]["counts"]
        assert result["images"] == alone["images"]
        np.testing.assert_allclose(result["losses"], alone["losses"], rtol=1e-4)
        for ours, theirs in zip(result["weights"], alone["weights"], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    # The same samples: the processes' shares, interleaved, are the one process's batches.
    shares = [result["seen"] for result in together]
    joined = [[part[j // size] for j in range(6) for part in [step[j % size]]] for step in zip(*shares, strict=True)]
    assert joined == alone["seen"]
    # Seven images on two or three processes: each counted exactly once.
    assert sorted(together[0]["counts"]) == list(range(7))
    assert sum(np.sum(table) for table in together[0]["counts"].values()) == 7 * (20 * 24 - 9)


@pytest.mark.slow
def test_where_one_process_lacks_memory_all_halve_and_make_the_same_steps(tmp_path: Path) -> None:
    alone = train(tmp_path / "alone", World(torch.device("cpu")))
    together = on(2, tmp_path, most=1)
    assert [result["halved"] for result in together] == [[1], [1]]
    assert len({result["hash"] for result in together}) == 1
    np.testing.assert_allclose(together[0]["losses"], alone["losses"], rtol=1e-4)
    for ours, theirs in zip(together[0]["weights"], alone["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
