"""Batch augmentations: who gives what to whom, on which random numbers, and that none leaves a stream as it is."""

import numpy as np
import pytest
import torch

from segengine.data.augment.geometric import Crop
from segengine.data.augment.mixing import CopyPaste, CutMix, MixedStream
from segengine.data.augment.pipeline import Pipeline
from segengine.data.batches.streams import TrainingStream
from tests.engine.tiny import CPU, Bright

B, H, W = 5, 12, 17


def batch(seed=0, count=B):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.randint(0, 5, (count, H, W), dtype=torch.uint8, generator=generator)
    masks[masks == 4] = 255
    return torch.randint(0, 256, (count, 3, H, W), dtype=torch.uint8, generator=generator), masks


def rng(seed=0):
    return np.random.default_rng(seed)


def pasted(images, masks, partners, where):
    """Pixel by pixel, what `where` says comes from the partner."""
    images_out, masks_out = images.clone(), masks.clone()
    for i in range(len(masks)):
        for y in range(H):
            for x in range(W):
                if where(i, y, x):
                    images_out[i, :, y, x] = images[partners[i], :, y, x]
                    masks_out[i, y, x] = masks[partners[i], y, x]
    return images_out, masks_out


def drawn_partners(draws):
    return [(i + int(shift)) % B for i, shift in enumerate(draws.integers(1, B, size=B))]


@pytest.mark.parametrize("seed", range(6))
def test_cutmix_pastes_the_papers_rectangle_pixel_by_pixel(seed):
    images, masks = batch(seed)
    draws = rng(seed)
    partners, chance, lam = drawn_partners(draws), draws.random(B), draws.beta(0.8, 0.8, B)
    rows, columns = draws.integers(H, size=B), draws.integers(W, size=B)
    boxes = []
    for i in range(B):
        cut_h, cut_w = int(H * np.sqrt(1 - lam[i])), int(W * np.sqrt(1 - lam[i]))
        top, bottom = np.clip([rows[i] - cut_h // 2, rows[i] + cut_h // 2], 0, H)
        left, right = np.clip([columns[i] - cut_w // 2, columns[i] + cut_w // 2], 0, W)
        boxes.append((top, bottom, left, right) if chance[i] < 0.6 else (0, 0, 0, 0))

    def inside(i, y, x):
        top, bottom, left, right = boxes[i]
        return top <= y < bottom and left <= x < right

    found = CutMix(0.6, 0.8).apply_batch(images, masks, rng(seed))
    for ours, expected in zip(found, pasted(images, masks, partners, inside), strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("classes", [None, (0, 2), (3,)])
def test_copy_paste_pastes_whole_classes_pixel_by_pixel(classes, seed):
    images, masks = batch(seed)
    draws = rng(seed)
    partners, chance = drawn_partners(draws), draws.random(B)
    chosen = draws.random((B, 256)) < 0.5
    allowed = {1, 2, 3} if classes is None else set(classes)

    def inside(i, y, x):
        value = int(masks[partners[i], y, x])
        return value in allowed and chosen[i, value] and chance[i] < 0.7

    found = CopyPaste(0.7, 0.5, classes).apply_batch(images, masks, rng(seed))
    for ours, expected in zip(found, pasted(images, masks, partners, inside), strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("transform", [CutMix(0.7, 1.0), CopyPaste(0.7, 0.5)])
def test_most_batches_are_changed(transform):
    images, masks = batch()
    found = [transform.apply_batch(images, masks, rng(seed)) for seed in range(20)]
    assert sum(not torch.equal(mixed_masks, masks) for _, mixed_masks in found) > 15


@pytest.mark.parametrize("transform", [CutMix(1.0, 1.0), CopyPaste(1.0, 1.0)])
def test_a_single_image_mixes_with_nothing_and_no_image_with_itself(transform):
    images, masks = batch(count=1)
    assert all(map(torch.equal, transform.apply_batch(images, masks, rng()), (images, masks)))
    images = torch.arange(2, dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, H, W).contiguous()
    masks = torch.full((2, H, W), 1, dtype=torch.uint8)
    seen = [transform.apply_batch(images, masks, rng(seed))[0] for seed in range(20)]
    assert any((found[0] == 1).any() and (found[1] == 0).any() for found in seen)


@pytest.mark.parametrize("transform", [CutMix(0.0, 1.0), CopyPaste(0.0, 1.0), CopyPaste(1.0, 0.0)])
def test_with_probability_0_a_batch_stays_as_it_is(transform):
    images, masks = batch()
    for seed in range(5):
        assert all(map(torch.equal, transform.apply_batch(images, masks, rng(seed)), (images, masks)))


def stream(rank=0, world_size=1):
    return TrainingStream(
        Bright(), range(7), Pipeline([Crop((12, 12))]), batch_size=4, seed=3, rank=rank, world_size=world_size
    )


ALWAYS = (CutMix(1.0, 1.0),)


def mixed(transforms=ALWAYS, **process):
    return MixedStream(stream(**process), transforms, CPU)


def tensors(batches):
    return [torch.cat([b.images.flatten(), b.masks.flatten(), b.indices]) for b in batches]


def equal(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


def test_a_batch_is_mixed_by_its_number_alone_wherever_the_stream_is_joined():
    whole = [tensors(mixed().epoch(epoch)) for epoch in range(3)]
    assert equal(tensors(mixed().epoch(2, 1)), whole[2][1:])
    assert equal(tensors(mixed().epoch(1)), whole[1])
    assert not equal(whole[0], tensors(stream().epoch(0)))


def test_each_process_mixes_its_own_part_by_itself():
    parts = [next(mixed(rank=rank, world_size=2).epoch(0)) for rank in range(2)]
    plain = [next(stream(rank=rank, world_size=2).epoch(0)) for rank in range(2)]
    for part, was in zip(parts, plain, strict=True):
        assert torch.equal(part.indices, was.indices)
        values = set(was.images.flatten().tolist())
        assert set(part.images.flatten().tolist()) <= values


def test_transforms_that_never_act_leave_every_batch_of_the_stream_bit_equal():
    for transforms in ((), (CutMix(0.0, 1.0), CopyPaste(0.0, 0.5))):
        ours, theirs = mixed(transforms), stream()
        assert (ours.batch_size, ours.steps_per_epoch) == (theirs.batch_size, theirs.steps_per_epoch)
        for epoch in range(2):
            assert equal(tensors(ours.epoch(epoch)), tensors(theirs.epoch(epoch)))
