"""What costs are stated for, where a test image doesn't fit into memory as a whole."""

from types import SimpleNamespace

import numpy as np
import pytest

from segengine.training.recorder import Recorder


@pytest.mark.parametrize(
    ("test", "train", "stated"),
    [([(8000, 10000)], [(64, 48)], (1024, 1024)), ([(480, 360)], [(64, 48)], (480, 360)), ([], [(64, 48)], (64, 48))],
)
def test_costs_are_of_the_first_test_image_or_of_one_tile_of_a_large_one(test, train, stated):
    sizes = np.array([*train, *test])
    splits = {"train": range(len(train)), "test": range(len(train), len(sizes))}
    recorder = SimpleNamespace(dataset=SimpleNamespace(sizes=sizes, splits=splits))
    assert Recorder.input_size(recorder) == stated
