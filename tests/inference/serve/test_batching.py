"""Batches hold images of one size, in order of arrival, and one failure stays one."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("fastapi")
from segengine.inference.serve.batching import PIXELS_PER_BATCH, Batcher, Inferred
from segengine.inference.serve.limits import RefusedError


class Network:
    """Notes its batches; the first waits until `go` is set. Images of value 9 fail."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []
        self.go, self.begun = threading.Event(), threading.Event()

    def __call__(self, images: Sequence[NDArray[np.uint8]], probabilities: bool) -> list[Inferred]:
        self.batches.append((len(images), *images[0].shape[:2]))
        self.begun.set()
        assert self.go.wait(5)
        if any(image.max() == 9 for image in images):
            raise ValueError("nine")
        return [Inferred(image[:, :, 0] + 1) for image in images]


def image(height: int, width: int, value: int = 0) -> NDArray[np.uint8]:
    return np.full((height, width, 1), value, np.uint8)


def filled(
    network: Network, images: Sequence[NDArray[np.uint8]], **more: Any
) -> tuple[Batcher, list[Future[Inferred]]]:
    """A batcher that is busy with an image of 1x1 while the others come in."""
    batcher = Batcher(network, batch=more.pop("batch", 4), **more)
    first = batcher.submit(image(1, 1))
    assert network.begun.wait(5)
    return batcher, [first, *map(batcher.submit, images)]


def test_equal_sizes_share_a_batch_and_the_oldest_is_first() -> None:
    network = Network()
    batcher, futures = filled(network, [image(2, 3, 1), image(5, 5), *(image(2, 3, value) for value in (2, 3, 4, 5))])
    assert batcher.waiting == 6
    network.go.set()
    results = [future.result(5) for future in futures]
    assert network.batches == [(1, 1, 1), (4, 2, 3), (1, 5, 5), (1, 2, 3)]
    assert [int(result.classes[0, 0]) for result in results] == [1, 2, 1, 3, 4, 5, 6]
    batcher.stop()


def test_a_batch_of_large_images_is_small() -> None:
    side = int((PIXELS_PER_BATCH / 2) ** 0.5)
    network = Network()
    batcher, futures = filled(network, [image(side, side)] * 3)
    network.go.set()
    for future in futures:
        future.result(5)
    assert [count for count, *_ in network.batches] == [1, 2, 1]
    batcher.stop()


def test_one_image_that_fails_spoils_no_other() -> None:
    network = Network()
    batcher, futures = filled(network, [image(2, 2, value) for value in (1, 9, 3)])
    network.go.set()
    assert int(futures[1].result(5).classes[0, 0]) == 2
    with pytest.raises(ValueError, match="nine"):
        futures[2].result(5)
    assert int(futures[3].result(5).classes[0, 0]) == 4
    assert batcher.alive
    batcher.stop()


def test_a_network_that_gives_too_few_results_is_an_error() -> None:
    batcher = Batcher(lambda *_: [], batch=4)
    with pytest.raises(ValueError, match="shorter"):
        batcher.submit(image(2, 2)).result(5)
    assert batcher.alive
    batcher.stop()


def test_a_cancelled_image_takes_no_time() -> None:
    network = Network()
    batcher, futures = filled(network, [image(2, 2), image(3, 3)])
    futures[1].cancel()
    network.go.set()
    futures[2].result(5)
    assert network.batches == [(1, 1, 1), (1, 3, 3)]
    batcher.stop()


def test_stopping_answers_everybody() -> None:
    network = Network()
    batcher, futures = filled(network, [image(2, 2)])
    batcher.stop()
    with pytest.raises(RefusedError, match="shutting down"):
        futures[1].result(5)
    with pytest.raises(RefusedError, match="shutting down"):
        batcher.submit(image(2, 2)).result(5)
    assert not batcher.ended(0.01)
    network.go.set()
    assert futures[0].result(5).classes.shape == (1, 1)
    assert batcher.ended(5)
