from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segengine.engine.cost import macs, parameter_count
from segengine.engine.distributed import World, pick_device
from segengine.engine.evaluation import confusions, evaluate, evaluate_and_measure
from segengine.engine.precision import pick_precision, repeatable
from segengine.engine.prediction import Predictor, size_of_a_pass
from segengine.errors import RunError
from segengine.metrics.calibration import calibration_error
from segengine.metrics.confusion import ImageCounts
from segengine.metrics.pairs import ImagePair
from segengine.metrics.surface import hausdorff
from segengine.metrics.values import Measurement
from tests.engine.tiny import CPU, Bright, network


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), num_classes=st.integers(2, 12), images=st.integers(1, 3))
def test_counts_equal_a_plain_triple_loop(seed: int, num_classes: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    present = rng.integers(1, num_classes + 1)  # the classes above are absent
    truth = rng.integers(0, present, (images, 7, 5)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.2] = 255
    predicted = rng.integers(0, num_classes, truth.shape).astype(np.uint8)
    expected = np.zeros((images, num_classes, num_classes), dtype=np.int64)
    for image in range(images):
        for y in range(7):
            for x in range(5):
                if truth[image, y, x] != 255:
                    expected[image, truth[image, y, x], predicted[image, y, x]] += 1
    counts = confusions(torch.from_numpy(truth), torch.from_numpy(predicted), num_classes)
    assert counts.dtype == torch.int64
    np.testing.assert_array_equal(counts.numpy(), expected)


def test_large_images_are_counted_in_bands_to_the_same_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.choice(np.array([0, 1, 2, 255], np.uint8), (2, 41, 30)))
    predicted = torch.from_numpy(rng.integers(0, 3, truth.shape).astype(np.uint8))
    whole = confusions(truth, predicted, 3)
    bands: list[int] = []
    bincount = torch.bincount

    def counted(cells: torch.Tensor, minlength: int) -> torch.Tensor:
        bands.append(len(cells))
        return bincount(cells, minlength=minlength)

    monkeypatch.setattr(torch, "bincount", counted)
    monkeypatch.setattr("segengine.engine.evaluation._MOST_PIXELS", 600)
    assert torch.equal(confusions(truth, predicted, 3), whole)
    assert bands == [600] * 4 + [60]
    assert whole.sum() == (truth != 255).sum()


def test_each_image_is_counted_once_at_its_own_size() -> None:
    data = Bright(5)
    data.images[2] = np.zeros((9, 31, 1), np.uint8)
    data.sizes[2] = (9, 31)
    seen = []
    predictor = Predictor(network(), CPU, pick_precision("auto", CPU))
    counts = evaluate(predictor, data, [0, 2, 4], 2, World(CPU), seen=seen.append)
    assert sorted(counts) == [0, 2, 4]
    assert [int(counts[i].sum()) for i in (0, 2, 4)] == [20 * 24 - 9, 9 * 31 - 9, 20 * 24 - 9]
    assert sum(seen) == 3


def test_tiles_count_the_same_pixels_as_one_pass() -> None:
    class Pixelwise(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.cat([128 - images.float(), images.float() - 128], dim=1)

    data, precision = Bright(2, (70, 50)), pick_precision("auto", CPU)
    whole = evaluate(Predictor(Pixelwise(), CPU, precision), data, [0, 1], 2, World(CPU))
    tiled = evaluate(Predictor(Pixelwise(), CPU, precision, largest_pixels=1000, tile=32), data, [0, 1], 2, World(CPU))
    for index in (0, 1):
        np.testing.assert_array_equal(whole[index], tiled[index])


@pytest.mark.parametrize(
    ("image", "once"),
    [((2048, 2048), (2048, 2048)), ((2048, 2049), (1024, 1024)), ((2500, 2000), (1024, 1024)), ((300, 20000), (300, 1024))],
)  # fmt: skip
def test_what_goes_through_the_network_at_once_is_bounded(image: tuple[int, int], once: tuple[int, int]) -> None:
    assert size_of_a_pass(*image) == once
    seen: list[tuple[int, ...]] = []

    class Watched(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(tuple(images.shape[2:]))
            return torch.zeros(1, 2, 1, 1).expand(1, 2, *images.shape[2:])

    predictor = Predictor(Watched(), CPU, pick_precision("fp32", CPU))
    predictor.classes(torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(1, 1, *image))
    assert set(seen) == {once}


def test_evaluation_leaves_a_model_in_the_mode_it_was_in() -> None:
    model = network().train()
    predictor = Predictor(model, CPU, pick_precision("auto", CPU))
    first = predictor.image_classes(Bright(1).images[0])
    assert model.training
    np.testing.assert_array_equal(first, predictor.image_classes(Bright(1).images[0]))  # no dropout, no new statistics


def test_the_best_class_is_the_first_of_equal_ones() -> None:
    class Flat(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(images), 3, *images.shape[2:])

    classes = Predictor(Flat(), CPU, pick_precision("fp32", CPU)).image_classes(np.zeros((4, 5, 1), np.uint8))
    assert classes.shape == (4, 5)
    assert not classes.any()


def test_what_a_network_costs() -> None:
    layer = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1))

    class Float(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layer(images.float())  # type: ignore[no-any-return]

    assert parameter_count(layer) == 3 * 8 * 9 + 8
    assert macs(Float(), 3, 10, 20) == 3 * 8 * 9 * 10 * 20


def test_precision_is_float32_on_a_cpu_and_fp16_is_refused_there() -> None:
    assert pick_precision("auto", CPU).name == "fp32"
    assert pick_precision("bf16", CPU).dtype is torch.bfloat16
    with pytest.raises(RunError, match="fp16 needs a GPU; write auto, fp32 or bf16"):
        pick_precision("fp16", CPU)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_asking_for_a_gpu_that_is_not_there_is_a_clear_error() -> None:
    assert pick_device("auto") == CPU
    with pytest.raises(RunError, match="no CUDA GPU is usable here; `segengine doctor` lists what torch detects"):
        pick_device("cuda")


def test_repeatable_seeds_torch_and_puts_its_switches_back() -> None:
    with repeatable(5, deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
        first = torch.rand(3)
    assert not torch.are_deterministic_algorithms_enabled()
    with repeatable(5, deterministic=False):
        assert torch.equal(first, torch.rand(3))


def measured_by(labels: tuple[str, ...]) -> Measurement:
    metrics = {
        "hd95": lambda pair: hausdorff(pair, 95),
        "ece": lambda pair: calibration_error(pair, 15),
    }
    return Measurement(
        {label: metrics[label] for label in labels},
        {"hd95": True, "ece": False},
        "ece" in labels,
        2,
        (0, 1),
        (1.0, 2.0),
    )


class OneOf(World):
    """A process of several that gathers nothing: its own share is seen."""

    def gathered(self, item: object) -> list[object]:
        return [item]

    def gathered_rows(self, rows: torch.Tensor) -> torch.Tensor:
        return rows


def test_several_processes_measure_what_one_does() -> None:
    data, predictor = Bright(7), Predictor(network(), CPU, pick_precision("auto", CPU))
    measurement = measured_by(("hd95", "ece"))
    counts, alone = evaluate_and_measure(predictor, data, range(7), 2, World(CPU), measurement=measurement)
    shares = [
        evaluate_and_measure(predictor, data, range(7), 2, OneOf(CPU, rank, 3), measurement=measurement)
        for rank in range(3)
    ]
    together = {index: found for _, share in shares for index, found in share.items()}
    assert sum(len(share) for _, share in shares) == 7
    assert repr(dict(sorted(together.items()))) == repr(alone)  # NaN equals NaN, to the last digit
    for index, table in evaluate(predictor, data, range(7), 2, World(CPU)).items():
        np.testing.assert_array_equal(counts[index], table)  # measuring changes no count


@pytest.mark.parametrize(("largest", "tile"), [(2048 * 2048, 1024), (1000, 32), (1000, 128)])
def test_probabilities_come_with_their_truth_whole_or_in_bands(largest: int, tile: int) -> None:
    class Pixelwise(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.cat([128 - images.float(), images.float() - 128], dim=1) / 40

    data = Bright(2, (70, 50))
    predictor = Predictor(Pixelwise(), CPU, pick_precision("auto", CPU), largest_pixels=largest, tile=tile)
    _, found = evaluate_and_measure(predictor, data, [0, 1], 2, World(CPU), measurement=measured_by(("ece",)))
    for index in (0, 1):
        image, truth = data.pair(index)
        logits = np.concatenate([128 - image.astype(float), image.astype(float) - 128], axis=2) / 40
        chances = (np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)).transpose(2, 0, 1).astype(np.float32)
        pair = ImagePair(truth, chances.argmax(axis=0).astype(np.uint8), 2, (0, 1), probabilities=lambda c=chances: [c])
        assert found[index]["ece"][0][0] == pytest.approx(calibration_error(pair, 15)[0], rel=1e-4)


def test_counts_travel_sparse_and_keep_images_without_a_valid_pixel() -> None:
    counts = ImageCounts(150)
    table = np.zeros((150, 150), np.int64)
    table[3, 149] = 7
    counts.add(12, table)
    counts.add(4, np.zeros((150, 150), np.int64))
    packed = counts.packed()
    assert packed.tolist() == [[4, -1, 0], [12, 3 * 150 + 149, 7]]
    again = ImageCounts.unpacked(packed[::-1], 150)
    assert list(again) == [4, 12]
    assert np.array_equal(again[12], table)
    assert not again[4].any()
    assert list(ImageCounts.unpacked(ImageCounts(3).packed(), 3)) == []
