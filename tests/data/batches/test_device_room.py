"""What batches made on the device do where memory runs out, and that nothing waits."""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from segengine.data.augment.pipeline import Pipeline
from segengine.data.augment.pixels import BrightnessContrast
from segengine.data.batches import device_warp
from segengine.data.batches.device_store import stored
from segengine.data.batches.device_stream import DeviceStream
from segengine.data.batches.device_warp import Flat, augmented
from segengine.data.batches.streams import TrainingStream
from tests.data.batches.device_samples import CPU, USUAL, WINDOW, Samples, assert_alike, streams, taken


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
        "while augmenting a single image on the device beside the network and the training images; "
        "set data.cache: ram to keep these in main memory"
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
