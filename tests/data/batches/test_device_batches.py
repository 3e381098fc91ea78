"""Batches made on the device: the samples that the CPU makes, masks to the last pixel, images up to rounding."""

import threading

import pytest
import torch

from segengine.data.augment.geometric import Crop, Flip, MultiScale, Rotate
from segengine.data.augment.mixing import CopyPaste, CutMix, MixedStream
from segengine.data.augment.pixels import BrightnessContrast
from segengine.data.batches.device_store import needed_bytes, stored
from segengine.errors import DataError
from tests.data.batches.device_samples import CPU, USUAL, WINDOW, Samples, assert_alike, streams, taken


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
