"""Prediction and evaluation where memory runs out: fewer images per pass, then tiles, then smaller tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from segengine.engine import evaluation
from segengine.engine.distributed import World
from segengine.engine.evaluation import evaluate
from segengine.engine.precision import pick_precision
from segengine.engine.prediction import PassLimits, Predictor
from tests.engine.tiny import CPU, Bright


class Hungry(nn.Module):
    """Which pixels are bright, on a device with memory for `pixels` of all images together; errors are as CUDA's."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.pixels, self.seen = pixels, list[tuple[int, ...]]()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(images.shape))
        if images[:, 0].numel() > self.pixels:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        bright = images[:, :1].float() / 127.5 - 1
        return torch.cat([-bright, bright], dim=1)


def predictor(pixels: int, **options: int) -> Predictor:
    return Predictor(Hungry(pixels), CPU, pick_precision("fp32", CPU), **options)


def images(count: int, height: int, width: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 1, height, width), dtype=np.uint8))


@pytest.mark.parametrize("pixels", [10**9, 5 * 64 * 64, 2 * 64 * 64, 64 * 64])
def test_fewer_images_per_pass_predict_the_same(pixels: int) -> None:
    given, made = images(6, 64, 64), predictor(pixels)
    assert torch.equal(made.classes(given), (given[:, 0] > 127).to(torch.uint8))
    assert made.limits.tile is None
    assert made.limits.images == {10**9: None, 5 * 64 * 64: 3, 2 * 64 * 64: 2, 64 * 64: 1}[pixels]
    seen = len(made.model.seen)
    made.classes(given)
    assert all(shape[0] * 64 * 64 <= pixels for shape in made.model.seen[seen:]), "what was found is kept"


@pytest.mark.parametrize("pixels", [300 * 300, 200 * 200, 128 * 128])
@pytest.mark.parametrize("count", [1, 3])
def test_an_image_that_does_not_fit_is_predicted_in_tiles_that_fit(pixels: int, count: int) -> None:
    given, made = images(count, 512, 600), predictor(pixels)
    assert torch.equal(made.classes(given).cpu(), (given[:, 0] > 127).to(torch.uint8))
    assert made.limits.tile is not None
    assert made.limits.tile**2 <= pixels
    assert str(made.limits) == f"tiles of {made.limits.tile}x{made.limits.tile} pixels"
    small = images(1, 128, 128)
    assert torch.equal(made.classes(small), (small[:, 0] > 127).to(torch.uint8))


def test_large_images_have_smaller_tiles_where_the_usual_ones_do_not_fit() -> None:
    given, made = images(1, 700, 700), predictor(200 * 200, largest_pixels=600 * 600, tile=512)
    assert torch.equal(made.classes(given), (given[:, 0] > 127).to(torch.uint8))
    assert made.limits == PassLimits(tile=128)


def test_where_the_smallest_tile_does_not_fit_the_error_goes_on() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        predictor(100).classes(images(2, 300, 300))


def test_other_errors_are_not_tried_again() -> None:
    made = predictor(10**9)
    made.model.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        made.classes(images(2, 30, 30))


@pytest.mark.parametrize("pixels", [10**9, 2 * 64 * 64])
def test_probabilities_come_with_the_same_classes(pixels: int) -> None:
    given, made = images(5, 64, 64), predictor(pixels)
    classes, probabilities = made.classes_and_probabilities(given)
    assert probabilities is not None
    assert torch.equal(classes, (given[:, 0] > 127).to(torch.uint8))
    assert torch.equal(probabilities.argmax(1).to(torch.uint8), classes)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(5, 64, 64))
    classes, probabilities = predictor(200 * 200).classes_and_probabilities(images(2, 300, 300))
    assert probabilities is None
    assert classes.shape == (2, 300, 300)


def test_evaluation_survives_and_counts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "most_images", lambda pixels, num_classes, device: 64)
    data = Bright(9, size=(40, 50))
    expected = evaluate(predictor(10**9), data, range(9), 2, World(CPU))
    scarce = predictor(4 * 40 * 50)
    found = evaluate(scarce, data, range(9), 2, World(CPU))
    assert list(found) == list(expected)
    assert all(np.array_equal(found[i], expected[i]) for i in expected)
    assert scarce.limits.images == 3


def test_evaluation_decodes_with_all_cores_and_starts_with_the_images_that_were_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(evaluation, "most_images", lambda pixels, num_classes, device: 64)
    batches = evaluation.evaluation_batches

    def watched(dataset: Bright, indices: list[int], images: int, *, threads: int) -> object:
        given.append((images, threads))
        return batches(dataset, indices, images, threads=threads)

    monkeypatch.setattr(evaluation, "evaluation_batches", watched)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(12), raising=False)
    for world in (World(CPU), World(CPU, runs=4), World(CPU, runs=99)):
        made = predictor(10**9)
        made.limits.images = 5
        evaluate(made, Bright(7), range(7), 2, world)
    assert given == [(5, 12), (5, 3), (5, 1)]


def test_convolutions_are_not_autotuned_for_each_size_of_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    seen: list[bool] = []
    made = predictor(10**9)
    made.model.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.benchmark))
    made.classes(images(1, 20, 20))
    made.classes_and_probabilities(images(1, 20, 20))
    list(made.probability_bands(images(1, 20, 20)[0]))
    assert seen == [False] * 3
    assert torch.backends.cudnn.benchmark
