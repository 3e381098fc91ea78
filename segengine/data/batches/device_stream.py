"""Training batches made on the device: parameters are sampled on the CPU a few batches ahead; pixels stay on the device."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from segengine.data.augment.pipeline import Pipeline
from segengine.data.batches.batch import Batch, SizedSamples, differing_sizes
from segengine.data.batches.device_operations import BatchOperations, batch_operations
from segengine.data.batches.device_store import DeviceStore
from segengine.data.batches.device_warp import augmented, usual_at_once
from segengine.data.batches.randomness import generator
from segengine.data.batches.streams import CROP, TrainingStream

_AHEAD = 4  # batches whose parameters are sampled in advance
_NO_ROOM = (
    "while augmenting a single image on the device beside the network and the training images; "
    "set data.cache: ram to keep these in main memory"
)


class DeviceStream:
    """The batches of a `TrainingStream`, with images and masks on the device that holds `store`.

    Same images, order and random generators as the underlying stream; masks are identical, images equal up to rounding
    (see docs/data.md). `close` stops the thread that samples parameters.
    """

    def __init__(self, order: TrainingStream, samples: SizedSamples, pipeline: Pipeline, store: DeviceStore) -> None:
        """A stream in the order of `order`, which produces no batches itself; `pipeline` must be `plannable`."""
        assert pipeline.plannable
        self.batch_size, self.steps_per_epoch = order.batch_size, order.steps_per_epoch
        self.seed, self.rank = order.seed, order.rank
        self._order, self._samples, self._pipeline, self._store = order, samples, pipeline, store
        self._at_once = usual_at_once(store.flat.masks.device)
        self._pool: ThreadPoolExecutor | None = None
        self._drawn: deque[Future[BatchOperations]] = deque()
        self._step = -1

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Batches of this process in epoch number `epoch` (from 0), starting at its step `first_step`.

        Raises:
            DataError: samples of one batch differ in size.
        """
        for step in range(epoch * self.steps_per_epoch + first_step, (epoch + 1) * self.steps_per_epoch):
            yield self._made(self._next_operations(step))

    def close(self) -> None:
        """Stop the thread; the stream can be used again."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool, self._step = None, -1
        self._drawn.clear()

    def _next_operations(self, step: int) -> BatchOperations:
        if step != self._step:
            self.close()
            self._step = step
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="draw")
        while len(self._drawn) <= _AHEAD:
            self._drawn.append(self._pool.submit(self._draw, self._step + len(self._drawn)))
        self._step += 1
        return self._drawn.popleft().result()

    def _draw(self, step: int) -> BatchOperations:
        keys = self._order.keys(step)
        sampled = [
            self._pipeline.draw(generator(self.seed, cycle, self._samples.records[index].id), self._store.masks[index])
            for cycle, index in keys
        ]
        indices = [index for _, index in keys]
        return batch_operations(sampled, [self._store.places[index] for index in indices], indices)

    def _made(self, operations: BatchOperations) -> Batch:
        flat = self._store.flat
        table = torch.from_numpy(operations.table)
        if flat.masks.is_cuda:
            table = table.pin_memory().to(flat.masks.device, non_blocking=True)
        groups = self._augmented(operations, table)
        if len(groups) > 1:
            begins = (0, len(groups[0][1]))
            shapes = [
                (operations.indices[at], (*masks.shape[1:], len(images)))
                for at, (images, masks) in zip(begins, groups, strict=False)
            ]
            raise differing_sizes(self._samples, shapes[0], shapes[1], CROP)
        [(images, masks)] = groups
        images = images.transpose(0, 1).contiguous(memory_format=torch.channels_last)
        return Batch(images, masks, torch.tensor(operations.indices, dtype=torch.int64))

    def _augmented(self, operations: BatchOperations, table: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Warp a batch; on out-of-memory, permanently reduce the pixels per warp, down to one sample. Same result."""
        groups = [group for round_ in operations.rounds for group in round_.groups]
        sample = max(math.prod(group.size) for group in groups)
        whole = max((group.end - group.begin) * math.prod(group.size) for group in groups)
        while True:
            try:
                return augmented(self._store.flat, operations, table, 0, self._at_once)
            except torch.OutOfMemoryError as error:
                if min(self._at_once, whole) <= sample:
                    raise torch.OutOfMemoryError(_NO_ROOM) from error
            # Outside the handler, the exception and the tensors referenced by its frames are freed.
            self._at_once = min(self._at_once, whole) // 2
