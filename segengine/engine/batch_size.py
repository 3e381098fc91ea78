"""The largest batch that there is memory for, found by training steps on made-up images."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LambdaLR

from segengine.data.batches.batch import Batch
from segengine.engine.machine_errors import out_of_memory
from segengine.engine.memory import MicroBatch, free_memory
from segengine.engine.peak import Peak, PeakMemory
from segengine.engine.step import Step
from segengine.errors import RunError

_TRIED = 4  # images at once, on a CPU
_PRIMITIVE = "could not create a primitive"  # what oneDNN says of memory that it doesn't get


def sizes(least: int, most: int) -> list[int]:
    """What is chosen from, ascending: `least`, then even numbers up to 8, multiples of 4 up to 32 and of 8 up to `most`.

    So coarse that a little more or less free memory mostly finds the same number again.
    """
    ladder = [*range(2, 8, 2), *range(8, 32, 4), *range(32, most + 1, 8)]
    return [least, *(number for number in ladder if least < number <= most)]


def largest(numbers: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """The largest of the ascending `numbers` that `fits`, None where not even the first does.

    Asks of every second, fourth, ... of them until one doesn't fit, and then between that and the last that did.
    """
    low, high, step = -1, 0, 1
    while fits(numbers[high]):
        low = high
        if high == len(numbers) - 1:
            return numbers[high]
        high, step = min(high + step, len(numbers) - 1), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(numbers[middle]) else (low, middle)
    return numbers[low] if low >= 0 else None


def foretold(few: int, few_bytes: int, more: int, more_bytes: int) -> Callable[[int], int]:
    """Bytes of a step by its number of images, along the line through two measurements; never less than the first's."""
    slope = max(0, more_bytes - few_bytes) / (more - few)
    return lambda images: round(few_bytes + slope * max(0, images - few))


def largest_that_fits(trial: Trial, numbers: Sequence[int], usable: int, free: int) -> int | None:
    """The largest of the ascending `numbers` of images of which a step takes at most `usable` bytes of those `free`.

    A GPU is tried. A CPU's memory is the whole machine's, and its steps are slow: more than four images are foretold from fewer,
    and what that comes to is tried, then what is below it. None where not even the first number fits.

    Raises:
        RunError: nobody tells how much memory a step takes.
    """
    known: dict[int, int | None] = {}

    def fits(images: int) -> bool:
        if images not in known:
            known[images] = trial.bytes(images, free)
        taken = known[images]
        return taken is not None and taken <= usable

    if trial.step.world.device.type != "cpu":
        return largest(numbers, fits)
    tried = [numbers[0], *(number for number in numbers[1:] if number <= _TRIED)]
    found = list(takewhile(fits, tried))
    if len(found) < len(tried) or len(tried) < 2:
        return found[-1] if found else None
    taken = [known[number] or 0 for number in tried[-2:]]
    bytes_of = foretold(tried[-2], taken[0], tried[-1], taken[1])
    hopeful = [
        number for number in numbers if number == tried[-1] or (number > tried[-1] and bytes_of(number) <= usable)
    ]
    return next(number for number in reversed(hopeful) if fits(number))


@dataclass(frozen=True)
class Trial:
    """Steps of a throwaway network on images of `channels` and `size` (height, width), with classes 0..`num_classes` - 1.

    Of the batches whose gradients make one step, two are tried: all after the first take the same memory.
    """

    step: Step
    channels: int
    size: tuple[int, int]
    num_classes: int
    batches: int = 1

    @classmethod
    def of(cls, step: Step, channels: int, size: tuple[int, int], num_classes: int, accumulate: int) -> Trial:
        """A trial by `step`, whose network and optimizer are used up; a learning rate of 0 keeps its losses finite."""
        parts = step.trainable
        scaler = parts.scaler and torch.amp.GradScaler(
            step.world.device.type, init_scale=1.0
        )  # with which no step is skipped
        still = replace(parts, schedule=LambdaLR(parts.optimizer, lambda _: 0.0), scaler=scaler)
        step = replace(step, trainable=still, micro=_Whole())
        return cls(step, channels, size, num_classes, min(accumulate, 2))

    def bytes(self, images: int, limit: int) -> int | None:
        """The most memory that a step of batches of `images` takes, weights and optimizer included; None where it runs out.

        On a CPU it runs out `limit` bytes above what the process has now, before the system has none left and ends some
        process. The first step, in which libraries choose algorithms and the optimizer makes its state, isn't measured.

        Raises:
            RunError: neither torch nor the system tells.
        """
        device, taken = self.step.world.device, None
        try:
            with _limited(device, limit):
                self._make(images)
                memory = PeakMemory(device, held=self.step.trainable.held_bytes())
                self._make(images)
                taken = _told(memory.peak())
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) and _PRIMITIVE not in str(error):
                raise
        # Out here the error with its frames, which hold the tensors of the step, is gone.
        self.step.trainable.optimizer.zero_grad(set_to_none=True)
        free_memory(device)
        return taken

    def _make(self, images: int) -> None:
        self.step.network.train()
        self.step([self._batch(images) for _ in range(self.batches)]).read()

    def _batch(self, images: int) -> Batch:
        shape = (images, *self.size)
        pixels = torch.randint(256, (*shape, self.channels), dtype=torch.uint8).permute(0, 3, 1, 2)
        return Batch(pixels, torch.randint(self.num_classes, shape, dtype=torch.uint8), torch.arange(images))


def learns_statistics(model: nn.Module) -> bool:
    """Whether batch normalisation computes statistics in training, for which one image may be too few."""
    model.train()
    return any(isinstance(module, _BatchNorm) and module.training for module in model.modules())


class _Whole(MicroBatch):
    """Where memory runs out, it has."""

    def halve(self, _: Sequence[Batch]) -> bool:
        return False


def _told(peak: Peak | None) -> int:
    if peak is None:
        raise RunError(
            "training.batch_size: auto: nobody tells here how much memory a step takes, as CUDA and Linux do; write a number"
        )
    return peak.peak_bytes


@contextmanager
def _limited(device: torch.device, more: int) -> Iterator[None]:
    """Within, this process can't take `more` bytes of a CPU's memory than it has: torch then raises, and nobody is killed."""
    if device.type != "cpu" or sys.platform != "linux":
        yield
        return
    import resource

    found = re.search(r"^VmData:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = (1024 * int(found[1]) if found else 0) + more
    limits = [wanted, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
