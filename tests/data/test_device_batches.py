"""Batches made on the device: the samples that the CPU makes, masks to the last pixel, images up to rounding."""

import itertools
import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from segengine.data import device_warp
from segengine.data.device_plan import batch_plan
from segengine.data.device_store import needed_bytes, stored
from segengine.data.device_stream import DeviceStream
from segengine.data.device_warp import Flat, augmented
from segengine.data.geometric import Crop, Flip, MultiScale, Rotate
from segengine.data.geometry import cropped, flipped, resized, rotated
from segengine.data.loading import TrainingStream
from segengine.data.mixing import CopyPaste, CutMix, MixedStream
from segengine.data.pipeline import Pipeline
from segengine.data.pixels import BrightnessContrast
from segengine.data.warp import warp_image, warp_mask
from segengine.errors import DataError

CPU = torch.device("cpu")
SIZES = [(60, 90), (72, 54), (60, 90), (99, 63), (60, 90), (72, 54), (48, 48)]
WINDOW = (36, 40)
USUAL = [MultiScale(64, (0.5, 1.5), WINDOW), Flip(0.5, 0.5), Rotate((-20, 20), 0.7), BrightnessContrast(0.2, 0.2, 0.8)]


@dataclass(frozen=True)
class Record:
    id: str


class Samples:
    """Noise, the hardest image to interpolate, and masks with holes of ignored pixels."""

    def __init__(self, sizes=SIZES, channels=3, *, constant=None):
        self.records = [Record(f"case/{index}") for index in range(len(sizes))]
        self.sizes = np.array(sizes, np.int64)
        self.pairs = [self._pair(index, channels, constant) for index in range(len(sizes))]

    def _pair(self, index, channels, constant):
        rng = np.random.default_rng(index)
        height, width = self.sizes[index]
        image = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        mask = rng.integers(0, 4, (height, width), dtype=np.uint8)
        mask[height // 3 :, width // 4 :] = 255
        if constant is not None:
            image[:], mask[:] = 200, constant
        image.flags.writeable = mask.flags.writeable = False
        return image, mask

    def pair(self, index):
        return self.pairs[index]


def streams(transforms, samples=None, *, batch_size=3, **settings):
    """The stream of the CPU and that of the device."""
    samples, pipeline = samples or Samples(), Pipeline(transforms)
    indices = range(len(samples.records))
    order = TrainingStream(samples, indices, pipeline, batch_size=batch_size, seed=1, **settings)
    return order, DeviceStream(order, samples, pipeline, stored(samples, indices, CPU))


def taken(stream, epochs=3):
    return list(itertools.chain.from_iterable(stream.epoch(epoch) for epoch in range(epochs)))


def farthest(one, other):
    """The largest difference of two batches' images, in gray levels."""
    return int((one.images.int() - other.images.int()).abs().max())


def assert_alike(device, cpu, *, levels):
    """The same records, equal masks, and images at most `levels` apart."""
    assert len(device) == len(cpu)
    for one, other in zip(device, cpu, strict=True):
        assert one.indices.tolist() == other.indices.tolist()
        assert torch.equal(one.masks, other.masks)
        assert one.images.shape == other.images.shape
        assert farthest(one, other) <= levels


def test_the_device_makes_the_samples_that_the_cpu_makes():
    cpu, device = streams(USUAL)
    ours, theirs = taken(device), taken(cpu)
    # Twice: brightness and contrast stretch a difference of one gray level by up to 1.2, and round again.
    assert_alike(ours, theirs, levels=2)
    differences = torch.cat(
        [(a.images.int() - b.images.int()).abs().flatten() for a, b in zip(ours, theirs, strict=True)]
    )
    assert (differences <= 1).float().mean() >= 0.99
    device.close()


def test_batches_look_as_those_of_the_cpu_do():
    cpu, device = streams(USUAL)
    one, other = next(device.epoch(0)), next(cpu.epoch(0))
    device.close()
    assert one.images.is_contiguous(memory_format=torch.channels_last)
    assert one.masks.is_contiguous()
    for name in ("images", "masks", "indices"):
        assert getattr(one, name).dtype == getattr(other, name).dtype
        assert getattr(one, name).stride() == getattr(other, name).stride()


@pytest.mark.parametrize(
    "transforms",
    [
        [Crop(WINDOW)],
        [Flip(0.5, 0.5), Crop(WINDOW, "centre")],
        [Crop((90, 100), rare_share=0.5)],
        [MultiScale(64, (0.2, 3.0), WINDOW, rare_share=0.7), Rotate((-180, 180))],
    ],
)
def test_geometry_alone_is_at_most_one_gray_level_apart(transforms):
    cpu, device = streams(transforms)
    assert_alike(taken(device), taken(cpu), levels=1)
    device.close()


def test_a_crop_without_scaling_is_equal_to_the_last_bit():
    cpu, device = streams([Flip(0.5, 0.5), Crop(WINDOW), BrightnessContrast(0.5, 0.5)])
    assert_alike(taken(device), taken(cpu), levels=0)
    device.close()


@pytest.mark.parametrize(
    "transforms",
    [
        [BrightnessContrast(0.2, 0.2, 0.5), BrightnessContrast(0.1, 0.1, 0.5), *USUAL[:2]],
        [Rotate((-9, 9)), BrightnessContrast(0.2, 0.2, 0.5), MultiScale(64, (0.5, 1.5), WINDOW), BrightnessContrast(0.1, 0)],
        [Flip(1, 0), BrightnessContrast(0.2, 0.2), Rotate((-9, 9)), BrightnessContrast(0.2, 0.2, 0.5), Crop((80, 80))],
    ],
)  # fmt: skip
def test_levels_between_geometry_are_changed_in_their_place(transforms):
    cpu, device = streams(transforms)
    assert_alike(taken(device), taken(cpu), levels=3)
    device.close()


def test_images_that_nothing_augments_come_out_as_they_are():
    cpu, device = streams([], Samples([(20, 30)] * 5))
    assert_alike(taken(device), taken(cpu), levels=0)
    device.close()


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_any_number_of_channels_can_be_on_the_device(channels):
    cpu, device = streams(USUAL[:3], Samples(channels=channels))
    # OpenCV warps two channels with coordinates rounded to 1/32 pixel: at most 8 of 255 a step of noise.
    assert_alike(taken(device), taken(cpu), levels=8 if channels == 2 else 1)
    device.close()


@pytest.mark.parametrize("world_size", [2, 3])
def test_each_process_makes_its_own_part_of_the_same_batches(world_size):
    _, alone = streams(USUAL, batch_size=5)
    several = [streams(USUAL, batch_size=5, rank=rank, world_size=world_size)[1] for rank in range(world_size)]
    for whole, *parts in zip(taken(alone), *map(taken, several), strict=True):
        for rank, part in enumerate(parts):
            mine = slice(rank, None, world_size)
            assert torch.equal(part.indices, whole.indices[mine])
            assert torch.equal(part.images, whole.images[mine])
            assert torch.equal(part.masks, whole.masks[mine])
    for stream in (alone, *several):
        stream.close()


def test_a_stream_joined_at_any_step_goes_on_as_if_never_left():
    _, device = streams(USUAL)
    expected = taken(device)
    for step in range(9):
        epoch, first = divmod(step, 3)
        rest = [*device.epoch(epoch, first), *(b for later in range(epoch + 1, 3) for b in device.epoch(later))]
        assert len(rest) == 9 - step
        for one, other in zip(rest, expected[step:], strict=True):
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.masks, other.masks)
    device.close()


def test_the_thread_that_draws_ahead_ends_with_the_stream():
    _, device = streams(USUAL)
    next(device.epoch(0))
    assert any(thread.name.startswith("draw") for thread in threading.enumerate())
    device.close()
    assert not any(thread.name.startswith("draw") for thread in threading.enumerate())


def test_batch_transforms_mix_what_the_device_made():
    mixing = [CutMix(0.5, 1.0), CopyPaste(0.5, 0.5)]
    cpu, device = (MixedStream(stream, mixing, CPU) for stream in streams(USUAL[:3]))
    assert_alike(taken(device), taken(cpu), levels=1)
    device.close()


def test_samples_of_different_sizes_name_both_images_and_the_remedy():
    cpu, device = streams([Flip(0.5, 0.5)], Samples([(20, 30), (24, 18)]), batch_size=2)
    texts = []
    for stream in (cpu, device):
        with pytest.raises(DataError) as caught:
            next(stream.epoch(0))
        texts.append(str(caught.value))
    one, other = "case/0 is 30x20 pixels with 3 channels", "case/1 is 18x24 pixels with 3 channels"
    remedy = "; add {name: crop, size: 256} at the end of augmentations"
    either = {f"images of one batch differ in size: {a} and {b}{remedy}" for a, b in ((one, other), (other, one))}
    assert set(texts) <= either
    device.close()


def test_a_file_that_changed_its_size_is_named():
    samples = Samples()
    samples.sizes[2] = 61, 90
    with pytest.raises(DataError, match="case/2 is not 90x61 pixels with 3 channels any more; the file has changed"):
        stored(samples, range(7), CPU)


def test_the_store_takes_what_it_says():
    samples = Samples()
    store = stored(samples, [0, 3, 3], CPU)
    assert store.flat.images.numel() + store.flat.masks.numel() == needed_bytes(samples, [3, 0], 3)
    assert store.masks[3] is samples.pair(3)[1]  # decoded in memory already: no second copy


# The warp itself


def flat_of(image, mask):
    return Flat(torch.from_numpy(image.reshape(-1, image.shape[2]).T.copy()), torch.from_numpy(mask.ravel().copy()))


def seen(image, mask, geometry, fill=0):
    """Image and mask through `geometry`, by the device's warp."""
    plan = batch_plan([(geometry,)], [(0, *mask.shape)], [0])
    [(images, masks)] = augmented(flat_of(image, mask), plan, torch.from_numpy(plan.table), fill, 2**16)
    return images[:, 0].permute(1, 2, 0).numpy(), masks[0].numpy()


sides = st.integers(1, 70)
geometries = st.builds(
    lambda size, to, turn, window, flips, out: (
        size,
        resized(*size, to=to)
        .then(rotated(*to, degrees=turn))
        .then(flipped(*to, horizontal=flips[0], vertical=flips[1]))
        .then(cropped(*window, to=out)),
    ),
    st.tuples(sides, sides),
    st.tuples(sides, sides),
    st.sampled_from([0.0, 90.0, 180.0, -45.0]) | st.floats(-180, 180),
    st.tuples(st.integers(-20, 50), st.integers(-20, 50)),
    st.tuples(st.booleans(), st.booleans()),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)


@settings(max_examples=200, deadline=None)
@given(geometries, st.sampled_from([1, 3, 4]), st.integers(0, 255))
def test_any_geometry_gives_equal_masks_and_images_one_gray_level_apart(drawn, channels, fill):
    size, geometry = drawn
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, channels), dtype=np.uint8)
    mask = rng.integers(0, 255, size, dtype=np.uint8)
    images, masks = seen(image, mask, geometry, fill)
    assert np.array_equal(masks, warp_mask(mask, geometry))
    assert np.abs(images.astype(int) - warp_image(image, geometry, fill)).max() <= 1


@settings(max_examples=100, deadline=None)
@given(geometries)
def test_a_mask_of_one_class_gains_only_ignored_pixels_and_an_even_image_only_the_fill(drawn):
    size, geometry = drawn
    images, masks = seen(np.full((*size, 3), 200, np.uint8), np.full(size, 3, np.uint8), geometry)
    assert set(np.unique(masks)) <= {3, 255}
    assert set(np.unique(images)) <= {0, 200}
    assert np.array_equal(images[..., 0] == 0, masks == 255)


def pairs(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


augmentations = st.lists(
    st.one_of(
        st.builds(MultiScale, st.integers(8, 90), st.sampled_from([(0.5, 1.5), (0.2, 4.0), (1.0, 1.0)]), pairs(1, 48),
                  rare_share=st.sampled_from([0.0, 0.5])),
        st.builds(Crop, pairs(1, 60), st.sampled_from(["random", "centre"])),
        st.builds(Flip, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.5])),
        st.builds(Rotate, st.sampled_from([(-15, 15), (90, 90), (-180, 180)]), st.sampled_from([0.5, 1.0])),
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    augmentations, st.lists(pairs(1, 80), min_size=1, max_size=4), pairs(1, 40), st.integers(0, 2**32), st.booleans()
)
def test_any_pipeline_shows_the_same_on_the_cpu_and_on_the_device(transforms, sizes, last, seed, constant):
    samples, pipeline = Samples(sizes, constant=3 if constant else None), Pipeline([*transforms, Crop(last)])
    indices = range(len(sizes))
    order = TrainingStream(samples, indices, pipeline, batch_size=3, seed=seed)
    device = DeviceStream(order, samples, pipeline, stored(samples, indices, CPU))
    made = taken(device, 1)
    device.close()
    assert_alike(made, taken(order, 1), levels=1)
    if constant:
        for batch in made:
            assert set(batch.masks.unique().tolist()) <= {3, 255}
            assert set(batch.images.unique().tolist()) <= {0, 200}


def test_images_whose_pixels_32_bits_can_not_address_are_warped_alike():
    wide = np.tile(np.arange(100, dtype=np.uint8), (40, 400))
    turn = cropped(0, 35000, to=(32, 32)).then(rotated(32, 32, degrees=11))
    image, mask = seen(wide[..., None], wide, turn)
    assert np.array_equal(mask, warp_mask(wide, turn))
    assert np.abs(image.astype(int) - warp_image(wide[..., None], turn)).max() <= 1


@pytest.fixture
def room_for(monkeypatch):
    """Lets memory run out where more than so many samples are warped together; gives the numbers that were tried."""
    real, tried = device_warp._warped, []

    def make(most):
        def warped(flat, numbers, *more):
            tried.append(len(numbers))
            if len(numbers) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return real(flat, numbers, *more)

        monkeypatch.setattr(device_warp, "_warped", warped)
        return tried

    return make


@pytest.mark.parametrize("most", [1, 2, 4])
def test_where_memory_runs_out_fewer_are_warped_at_once_for_the_same_batches(most, room_for):
    _, device = streams(USUAL, batch_size=6)
    expected = taken(device)
    tried = room_for(most)
    made = taken(device)
    device.close()
    assert tried[0] == 6
    # Tried once, not for each batch again: what fits is known from then on.
    assert [count for count in tried if count > most] == [6] + [3] * (most < 3)
    for one, other in zip(made, expected, strict=True):
        assert one.indices.tolist() == other.indices.tolist()
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.masks, other.masks)


def test_where_there_is_no_room_for_one_image_the_remedy_is_named(room_for):
    _, device = streams(USUAL)
    room_for(0)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        taken(device)
    device.close()
    assert str(caught.value) == (
        "there is no room to augment one image on the device beside the network and the training images that data.cache "
        "keeps there; data.cache: ram keeps them elsewhere"
    )


def test_nothing_waits_for_a_gpu_and_nothing_is_mixed_up_with_the_cpu():
    """Fake tensors have no values and know their device: what asks for one, or combines two devices, raises."""
    samples, pipeline = Samples(), Pipeline([BrightnessContrast(0.2, 0.2), *USUAL])
    store = stored(samples, range(7), CPU)
    order = TrainingStream(samples, range(7), pipeline, batch_size=3, seed=1)
    plan = DeviceStream(order, samples, pipeline, store)._draw(0)
    assert len(plan.rounds) == 2
    with FakeTensorMode():
        images, masks = (
            torch.empty(tensor.shape, dtype=torch.uint8, device="cuda")
            for tensor in (store.flat.images, store.flat.masks)
        )
        table = torch.empty(plan.table.shape, dtype=torch.float64, device="cuda")
        with pytest.raises(DataDependentOutputException):
            float(table.sum())
        [(made, classes)] = augmented(Flat(images, masks), plan, table, 0, 2**16)
    assert (made.shape, made.device.type) == ((3, 3, *WINDOW), "cuda")
    assert (classes.shape, classes.device.type) == ((3, *WINDOW), "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_samples_are_the_same_and_nothing_waits():
    samples, pipeline = Samples(), Pipeline(USUAL)
    order = TrainingStream(samples, range(7), pipeline, batch_size=3, seed=1)
    device = DeviceStream(order, samples, pipeline, stored(samples, range(7), torch.device("cuda")))
    torch.cuda.set_sync_debug_mode("error")
    try:
        made = taken(device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
        device.close()
    assert all(batch.images.is_cuda and batch.masks.is_cuda for batch in made)
    assert_alike([batch.to("cpu") for batch in made], taken(order), levels=2)
