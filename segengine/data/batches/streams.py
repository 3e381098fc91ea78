"""Batch streams: an endless one for training, resumable at any step, and one pass over the images for evaluation."""

from __future__ import annotations

import signal
import sys
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from segengine.data.augment.pipeline import Pipeline
from segengine.data.batches.batch import Batch, Identified, Samples, SizedSamples, stacked
from segengine.data.batches.randomness import generator, permutation
from segengine.errors import DataError, SegengineError, SpecError

Key = tuple[int, int]  # pass over the data, index of a record
CROP = "add {name: crop, size: 256} at the end of augmentations"
_MOST_THREADS = 2
_PREFETCH = 4  # batches prefetched per worker


class TrainingStream:
    """The endless, reproducible sequence of training batches; see `epoch`.

    Item p = step * batch_size + j belongs to pass c = p // n over the n images: it is image
    permutation(seed, c)[p % n], augmented by generator(seed, c, its id). So every batch is full, each image is seen
    equally often, and the samples depend neither on workers nor on processes nor on the step of resumption.
    Process `rank` of `world_size` takes items rank, rank + world_size, ... of each batch.
    """

    def __init__(
        self,
        dataset: Samples,
        indices: Sequence[int],
        pipeline: Pipeline,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        threads: bool | None = None,
        pin_memory: bool = False,
    ) -> None:
        """A stream over the records `indices`; `batch_size` counts the images of all processes together.

        `workers` prefetch batches (0: batches are made on demand): `threads` of this process, or processes;
        None selects by `threads_do`.

        Raises:
            DataError: no training image.
            SpecError: fewer images per batch than processes.
        """
        if not len(indices):
            raise DataError("there is no training image; the training split needs at least one")
        if batch_size < world_size:
            raise SpecError(
                f"training.batch_size is {batch_size} and {world_size} processes share it; set it to {world_size} "
                "or more, or use fewer processes"
            )
        self.indices = tuple(int(index) for index in indices)
        self.batch_size = batch_size
        self.seed = seed
        self.rank, self.world_size = rank, world_size
        self.steps_per_epoch = -(-len(self.indices) // batch_size)
        self._samples = _Augmented(dataset, pipeline, seed)
        self._workers = workers
        self._threads = threads_do(pipeline, workers) if threads is None else threads
        self._pin_memory = pin_memory and torch.cuda.is_available()
        self._orders: dict[int, list[int]] = {}
        self._step = -1
        self._batches: Iterator[Batch | _Failure] = iter(())

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Batches of this process in epoch number `epoch` (from 0), starting at its step `first_step`.

        Workers persist across epochs and prefetch the next one; `close` stops them.

        Raises:
            DataError: an image can't be read, or samples of one batch differ in size.
        """
        begin, end = epoch * self.steps_per_epoch + first_step, (epoch + 1) * self.steps_per_epoch
        for step in range(begin, end):
            if step != self._step:
                self.close()
                self._batches, self._step = self._from(step), step
            batch = next(self._batches)
            self._step += 1
            if isinstance(batch, _Failure):
                self.close()
                raise batch.error
            yield batch

    def close(self) -> None:
        """Stop the workers; the stream can be used again."""
        self._step, self._batches = -1, iter(())

    def keys(self, step: int) -> list[Key]:
        """Contents of this process's batch number `step` (from 0, over all epochs): (pass, index of the record)."""
        begin, end = step * self.batch_size, (step + 1) * self.batch_size
        return [self._key(position) for position in range(begin + self.rank, end, self.world_size)]

    def _key(self, position: int) -> Key:
        cycle, place = divmod(position, len(self.indices))
        if cycle not in self._orders:
            self._orders = {c: order for c, order in self._orders.items() if c == cycle - 1}
            self._orders[cycle] = permutation(self.seed, cycle, len(self.indices)).tolist()
        return cycle, self.indices[self._orders[cycle][place]]

    def _from(self, step: int) -> Iterator[Batch | _Failure]:
        keys = (self.keys(step) for step in count(step))
        if not self._workers:
            batches = map(self._samples.__getitems__, keys)
            return (b.pin_memory() if isinstance(b, Batch) else b for b in batches) if self._pin_memory else batches
        if self._threads:
            return self._by_threads(keys)
        with warnings.catch_warnings():
            # Python 3.12 warns of any fork with threads; these workers use neither CUDA nor the threads' locks.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            # The user may choose more workers than cores.
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
            loader = DataLoader(
                self._samples,
                batch_sampler=cast(Sequence[list[Key]], _Once(keys)),
                collate_fn=_as_it_is,
                num_workers=self._workers,
                worker_init_fn=_start_worker,
                prefetch_factor=_PREFETCH,
                pin_memory=self._pin_memory,
                # A separate generator, so that starting workers doesn't advance the model's random numbers.
                generator=torch.Generator(),
                # Forked workers share the cache of decoded images; elsewhere the platform's default is safer.
                multiprocessing_context="fork" if sys.platform == "linux" else None,
            )
            return iter(loader)

    def _by_threads(self, keys: Iterator[list[Key]]) -> Iterator[Batch | _Failure]:
        def load(some: list[Key]) -> Batch | _Failure:
            batch = self._samples.__getitems__(some)
            return batch.pin_memory() if self._pin_memory and isinstance(batch, Batch) else batch

        pool = ThreadPoolExecutor(self._workers, "augment", initializer=cv2.setNumThreads, initargs=(0,))
        try:
            ahead = deque(pool.submit(load, some) for some in islice(keys, self._workers * _PREFETCH))
            for some in keys:
                batch = ahead.popleft().result()
                ahead.append(pool.submit(load, some))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)


def threads_do(pipeline: Pipeline, workers: int) -> bool:
    """Whether `workers` are threads: at most two, and only for OpenCV and NumPy code, which releases the GIL.

    Measured with 256x256 windows, batch size 16 and all geometric transforms on two shared cores (medians of ten
    pairs, tests/benchmarks/input_path.py): one thread prepared 1.5 (480x360, colour) and 1.6 times (256x256, gray) the
    images per second of one process; two threads 1.1 and 1.2 times those of two processes, which transfer batches
    through shared memory (single runs 0.7 to 1.3). More workers were not measured; more threads contend for the GIL
    with each other and with the training loop.
    """
    return pipeline.plannable and workers <= _MOST_THREADS


def evaluation_batches(
    dataset: SizedSamples, indices: Sequence[int], batch_size: int, *, threads: int = 1
) -> Iterator[Batch]:
    """Each record of `indices` once, at its own size, in batches of equally sized images.

    Sizes are ordered by first occurrence in `indices`; within a size the order of `indices` is kept. `threads` prefetch
    (0: none); at most `threads` + 2 batches are in memory.

    Raises:
        DataError: an image can't be read, or its size has changed.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for index in indices:
        groups.setdefault(tuple(dataset.sizes[index].tolist()), []).append(int(index))
    chunks = [group[i : i + batch_size] for group in groups.values() for i in range(0, len(group), batch_size)]

    def load(chunk: list[int]) -> Batch:
        remedy = "the file has changed since its size was read; start again"
        return stacked([dataset.pair(index) for index in chunk], chunk, dataset, remedy)

    if not threads:
        yield from map(load, chunks)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        ahead: deque[Future[Batch]] = deque()
        try:
            for chunk in chunks:
                ahead.append(pool.submit(load, chunk))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


class _Augmented(Dataset["Batch | _Failure"]):
    """Whole batches by their keys, so that a worker sends collated tensors."""

    def __init__(self, samples: Samples, pipeline: Pipeline, seed: int) -> None:
        self.samples, self.pipeline, self.seed = samples, pipeline, seed

    def __getitem__(self, key: Key) -> Batch | _Failure:
        return self.__getitems__([key])

    def __getitems__(self, keys: list[Key]) -> Batch | _Failure:
        try:
            pairs = [self._sample(cycle, index) for cycle, index in keys]
            return stacked(pairs, [index for _, index in keys], self.samples, CROP)
        except SegengineError as error:
            return _Failure(error)

    def _sample(self, cycle: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        record: Identified = self.samples.records[index]
        return self.pipeline(*self.samples.pair(index), generator(self.seed, cycle, record.id))


class _Failure:
    """An exception returned from a worker as a value; DataLoader would wrap it in a long traceback."""

    def __init__(self, error: SegengineError) -> None:
        self.error = error


class _Once:
    """A batch sampler around an endless iterator."""

    def __init__(self, keys: Iterator[list[Key]]) -> None:
        self._keys = keys

    def __iter__(self) -> Iterator[list[Key]]:
        return self._keys


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    """One thread per worker; the main process handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
