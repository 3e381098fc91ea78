"""Collects waiting images of equal size into batches for one inference thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segengine.inference.serve.limits import stopping

PIXELS_PER_BATCH = 2**21
"""Maximum number of pixels of a batch of more than one image."""


@dataclass(frozen=True, eq=False)
class Inferred:
    """Class indices uint8 [H, W] of one image, and, where asked for, class probabilities."""

    classes: NDArray[np.uint8]
    probabilities: NDArray[np.uint8] | None = None


Infer = Callable[[Sequence[NDArray[np.uint8]], bool], Sequence[Inferred]]
"""Images uint8 [H, W, C] of one size, whether probabilities are needed -> a result per image."""


@dataclass(frozen=True, eq=False)
class _Job:
    image: NDArray[np.uint8]
    probabilities: bool
    future: Future[Inferred] = field(default_factory=Future)

    @property
    def key(self) -> tuple[object, ...]:
        return (self.probabilities, *self.image.shape)


class Batcher:
    """Runs `infer` in a thread of its own, on the image that waits longest and others of its size.

    A batch never waits for further images: it holds those that came in during the batch before it. Cancelled futures are
    left out.
    """

    def __init__(self, infer: Infer, *, batch: int, done: Callable[[int], None] = lambda _: None) -> None:
        """`batch`: maximum number of images per batch; `done` is called with the number after each batch."""
        self._infer, self._batch, self._done = infer, batch, done
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    def submit(self, image: NDArray[np.uint8], *, probabilities: bool = False) -> Future[Inferred]:
        """Queue an image uint8 [H, W, C]. The future raises RefusedError if the server stops first."""
        job = _Job(image, probabilities)
        with self._changed:
            if self._stopped:
                job.future.set_exception(stopping())
            else:
                self._jobs.append(job)
                self._changed.notify()
        return job.future

    @property
    def waiting(self) -> int:
        """Number of queued images."""
        return len(self._jobs)

    @property
    def alive(self) -> bool:
        """Whether the inference thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Answer queued images with RefusedError; the batch in progress is completed."""
        with self._changed:
            self._stopped = True
            left, self._jobs = list(self._jobs), deque()
            self._changed.notify_all()
        for job in left:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(stopping())

    def ended(self, patience: float) -> bool:
        """Whether the thread ends within `patience` seconds after `stop`."""
        self._thread.join(patience)
        return not self.alive

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._stopped)
                if self._stopped:
                    return
                jobs = self._next()
            jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if jobs:
                self._run(jobs)
                self._done(len(jobs))

    def _next(self) -> list[_Job]:
        """Remove the oldest job and jobs of the same size from the queue."""
        first = self._jobs[0]
        height, width = first.image.shape[:2]
        most = max(1, min(self._batch, PIXELS_PER_BATCH // (height * width)))
        chosen = [job for job in self._jobs if job.key == first.key][:most]
        taken = set(map(id, chosen))
        self._jobs = deque(job for job in self._jobs if id(job) not in taken)
        return chosen

    def _run(self, jobs: Sequence[_Job]) -> None:
        try:
            results = list(zip(jobs, self._infer([job.image for job in jobs], jobs[0].probabilities), strict=True))
        except BaseException as error:  # whatever happens, no client may wait for ever
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
        else:
            for job, result in results:
                job.future.set_result(result)
            return
        for job in jobs:  # an image must not spoil the others of its batch
            self._run([job])
