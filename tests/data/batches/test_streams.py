"""Loading: the same samples for any workers, processes and points of resumption; each image once in evaluation."""

import itertools
import os
import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from segengine.data.augment.geometric import Crop, Flip
from segengine.data.augment.pipeline import Pipeline
from segengine.data.augment.pixels import BrightnessContrast
from segengine.data.batches.streams import TrainingStream, evaluation_batches, threads_do
from segengine.errors import DataError, SpecError

SIZES = [(20, 30), (24, 18), (20, 30), (33, 21), (20, 30), (24, 18), (16, 16)]


@dataclass(frozen=True)
class FakeRecord:
    id: str


class FakeDataset:
    def __init__(self, sizes=SIZES, channels=3):
        self.records = [FakeRecord(f"case/{index}") for index in range(len(sizes))]
        self.sizes = np.array(sizes, np.int64)
        self.channels = channels
        self.decoded = []

    def pair(self, index):
        self.decoded.append(index)
        rng = np.random.default_rng(index)
        height, width = self.sizes[index]
        image = rng.integers(0, 256, (height, width, self.channels), dtype=np.uint8)
        mask = rng.integers(0, 4, (height, width), dtype=np.uint8)
        image.flags.writeable = mask.flags.writeable = False
        return image, mask


PIPELINE = Pipeline([Crop((12, 16)), Flip(0.5, 0.5), BrightnessContrast(0.2, 0.2)])


def stream(batch_size=3, **settings):
    return TrainingStream(FakeDataset(), range(7), PIPELINE, batch_size=batch_size, seed=1, **settings)


def taken(batches):
    return [(b.images.numpy().copy(), b.masks.numpy().copy(), b.indices.tolist()) for b in batches]


def epochs(training, count=3):
    return taken(itertools.chain.from_iterable(training.epoch(epoch) for epoch in range(count)))


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one[2] == other[2]
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])


def test_a_batch_holds_uint8_images_masks_and_indices():
    batch = next(stream().epoch(0))
    assert (batch.images.dtype, batch.masks.dtype, batch.indices.dtype) == (torch.uint8, torch.uint8, torch.int64)
    assert batch.images.shape == (3, 3, 12, 16)
    assert batch.masks.shape == (3, 12, 16)
    assert batch.indices.shape == (3,)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.masks.is_contiguous()
    assert len(batch) == 3


def test_every_batch_is_full_and_an_epoch_covers_all_images():
    training = stream()
    assert training.steps_per_epoch == 3
    lengths = [len(batch) for batch in itertools.chain(training.epoch(0), training.epoch(1))]
    assert lengths == [3] * 6
    assert {index for batch in stream().epoch(0) for index in batch.indices.tolist()} == set(range(7))


def test_each_image_is_seen_equally_often():
    seen = [index for _, _, indices in epochs(stream(batch_size=4), 7) for index in indices]
    assert len(seen) == 7 * 2 * 4
    assert [seen.count(index) for index in range(7)] == [8] * 7
    for first in range(0, len(seen), 7):
        assert sorted(seen[first : first + 7]) == list(range(7))


def test_a_batch_may_be_larger_than_the_data():
    (batch,) = stream(batch_size=20).epoch(0)
    assert sorted(batch.indices[:7].tolist()) == list(range(7))
    assert len(batch) == 20


def test_the_augmentation_of_an_image_changes_from_pass_to_pass():
    images = [
        image for images, _, indices in epochs(stream()) for image, i in zip(images, indices, strict=True) if i == 0
    ]
    assert len(images) >= 2
    assert not np.array_equal(images[0], images[1])


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_samples(workers, threads):
    training = stream(workers=workers, threads=threads)
    try:
        assert_same(epochs(training), epochs(stream()))
    finally:
        training.close()


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [3, 5])
def test_any_number_of_processes_sees_the_same_samples(world_size, batch_size):
    ranks = [epochs(stream(batch_size, rank=rank, world_size=world_size)) for rank in range(world_size)]
    for whole, *parts in zip(epochs(stream(batch_size)), *ranks, strict=True):
        for rank, part in enumerate(parts):
            assert part[2] == whole[2][rank::world_size]
            assert np.array_equal(part[0], whole[0][rank::world_size])
            assert np.array_equal(part[1], whole[1][rank::world_size])


@pytest.mark.parametrize(("workers", "threads"), [(0, True), (2, True), (2, False)])
def test_a_stream_joined_at_any_step_goes_on_as_if_never_left(workers, threads):
    expected = epochs(stream())
    for step in range(9):
        training = stream(workers=workers if step in (1, 4) else 0, threads=threads)
        epoch, first = divmod(step, 3)
        rest = taken(training.epoch(epoch, first))
        for later in range(epoch + 1, 3):
            rest += taken(training.epoch(later))
        training.close()
        assert_same(rest, expected[step:])


@pytest.mark.parametrize("threads", [True, False])
def test_an_epoch_left_early_can_be_started_again(threads):
    training = stream(workers=1, threads=threads)
    next(training.epoch(0))
    assert_same(taken(training.epoch(0)), epochs(stream(), 1))
    training.close()


def test_workers_live_on_from_epoch_to_epoch_and_end_with_the_stream():
    import multiprocessing

    training = stream(workers=2, threads=False)
    list(training.epoch(0))
    first = {process.pid for process in multiprocessing.active_children()}
    list(training.epoch(1))
    assert {process.pid for process in multiprocessing.active_children()} == first
    training.close()
    assert not first & {process.pid for process in multiprocessing.active_children()}


def augmenting():
    return {thread.ident for thread in threading.enumerate() if thread.name.startswith("augment")}


def test_threads_live_on_from_epoch_to_epoch_work_a_little_ahead_and_end_with_the_stream():
    data = FakeDataset([(20, 30)] * 200)
    training = TrainingStream(data, range(200), PIPELINE, batch_size=2, seed=1, workers=2, threads=True)
    list(training.epoch(0, 90))
    first = augmenting()
    list(training.epoch(1, 0))
    assert first
    assert augmenting() == first
    training.close()
    assert not augmenting()
    assert len(data.decoded) <= 2 * (10 + 100 + 8 + 1)


def test_two_workers_are_threads_unless_a_transform_may_hold_pythons_lock():
    class Opaque:
        size = None

        def apply(self, image, mask, rng):
            return image, mask

    assert [threads_do(PIPELINE, workers) for workers in (1, 2, 3)] == [True, True, False]
    assert not threads_do(Pipeline([Opaque()]), 1)


def test_loading_leaves_the_global_generators_alone():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    training = stream(workers=1)
    list(training.epoch(0))
    training.close()
    list(stream().epoch(0))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_workers_use_one_thread_each():
    class Threads(FakeDataset):
        def pair(self, index):
            import cv2

            assert os.getpid() != PARENT
            image = np.full((12, 16, 3), cv2.getNumThreads() + torch.get_num_threads(), np.uint8)
            return image, np.zeros((12, 16), np.uint8)

    training = TrainingStream(Threads(), range(7), Pipeline([]), batch_size=2, seed=0, workers=1, threads=False)
    batch = next(training.epoch(0))
    training.close()
    # OpenCV tells 1 thread for "no threading".
    assert set(batch.images.unique().tolist()) <= {1, 2}


PARENT = os.getpid()


@pytest.mark.parametrize("how", [{}, {"workers": 1, "threads": True}, {"workers": 1, "threads": False}])
def test_samples_of_different_sizes_name_both_images_and_the_remedy(how):
    training = TrainingStream(FakeDataset([(20, 30), (24, 18)]), [0, 1], Pipeline([]), batch_size=2, seed=0, **how)
    with pytest.raises(DataError) as caught:
        list(training.epoch(0))
    one, other = "case/0 is 30x20 pixels with 3 channels", "case/1 is 18x24 pixels with 3 channels"
    remedy = "; add {name: crop, size: 256} at the end of augmentations"
    start = "images of one batch differ in size: "
    assert str(caught.value) in {f"{start}{one} and {other}{remedy}", f"{start}{other} and {one}{remedy}"}


@pytest.mark.parametrize("how", [{}, {"workers": 1, "threads": True}, {"workers": 1, "threads": False}])
def test_an_error_of_the_data_arrives_as_it_was_raised(how):
    class Broken(FakeDataset):
        def pair(self, index):
            raise DataError("case/3.png is cut short; restore it")

    training = TrainingStream(Broken(), range(7), PIPELINE, batch_size=2, seed=0, **how)
    with pytest.raises(DataError, match=r"^case/3\.png is cut short; restore it$"):
        next(training.epoch(0))


def test_no_images_and_too_small_batches_are_refused():
    with pytest.raises(DataError, match="there is no training image"):
        TrainingStream(FakeDataset(), [], PIPELINE, batch_size=2, seed=0)
    with pytest.raises(SpecError, match=r"training\.batch_size is 2 and 4 processes share it; set it to 4 or more"):
        TrainingStream(FakeDataset(), range(7), PIPELINE, batch_size=2, seed=0, world_size=4)


@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels_can_be_loaded(channels):
    training = TrainingStream(FakeDataset(channels=channels), range(7), PIPELINE, batch_size=2, seed=0)
    assert next(training.epoch(0)).images.shape == (2, channels, 12, 16)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_evaluation_sees_each_image_once_at_its_own_size(threads):
    data = FakeDataset()
    batches = list(evaluation_batches(data, [6, 5, 4, 3, 2, 1, 0], 2, threads=threads))
    assert [batch.indices.tolist() for batch in batches] == [[6], [5, 1], [4, 2], [0], [3]]
    for batch in batches:
        for row, index in enumerate(batch.indices.tolist()):
            image, mask = data.pair(index)
            assert np.array_equal(batch.images[row].permute(1, 2, 0).numpy(), image)
            assert np.array_equal(batch.masks[row].numpy(), mask)


def test_evaluation_decodes_only_a_little_ahead():
    data = FakeDataset([(8, 8)] * 50)
    batches = evaluation_batches(data, range(50), 2, threads=2)
    next(batches)
    batches.close()
    assert len(data.decoded) <= 2 * 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_evaluation_of_nothing_gives_nothing():
    assert list(evaluation_batches(FakeDataset(), [], 4)) == []


def test_an_image_that_changed_its_size_is_named():
    data = FakeDataset([(8, 8), (8, 8)])
    batches = evaluation_batches(data, [0, 1], 2)
    good = data.pair
    data.pair = lambda index: good(index) if index == 0 else (np.zeros((9, 8, 3), np.uint8), np.zeros((9, 8), np.uint8))
    with pytest.raises(DataError, match=r"case/0 is 8x8 .* and case/1 is 8x9 .* the file has changed"):
        list(batches)
