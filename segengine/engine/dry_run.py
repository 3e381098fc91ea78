"""The dry run before training: which batch sizes fit into memory, in training steps and in evaluation passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LambdaLR

from segengine.data.batches.batch import Batch
from segengine.engine.checkpoint import Trainable
from segengine.engine.distributed import World
from segengine.engine.evaluation import confusions
from segengine.engine.machine_errors import out_of_memory
from segengine.engine.memory import PeakMemory, release_memory, tensor_bytes
from segengine.engine.non_finite import NonFiniteLatch
from segengine.engine.prediction import Predictor, size_of_a_pass
from segengine.engine.step import TrainingStep
from segengine.errors import RunError


def batch_sizes(least: int, most: int) -> list[int]:
    """Candidates, ascending: `least`, then even numbers up to 8, multiples of 4 up to 32 and of 8 up to `most`.

    Coarse, so that slightly more or less free memory usually gives the same batch size.
    """
    ladder = [*range(2, 8, 2), *range(8, 32, 4), *range(32, most + 1, 8)]
    return [least, *(number for number in ladder if least < number <= most)]


def halvings(most: int) -> list[int]:
    """`most`, its half rounded up, and so on down to 1; ascending."""
    found = [most]
    while found[-1] > 1:
        found.append(-(-found[-1] // 2))
    return found[::-1]


def largest(numbers: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """The largest of the ascending `numbers` that `fits`, None if not even the first does; galloping search."""
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


def first_that_fits(numbers: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """The largest of the ascending `numbers` that `fits`, tried in descending order; None if none does."""
    return next((number for number in reversed(numbers) if fits(number)), None)


def held_bytes(trainable: Trainable) -> int:
    """Bytes of weights, optimizer state and moving average."""
    average = trainable.average.state_dict() if trainable.average is not None else {}
    state = trainable.optimizer.state_dict()["state"]
    return tensor_bytes({"model": trainable.model.state_dict(), "average": average, "optimizer": state})


@dataclass(frozen=True)
class DryRun:
    """Steps and evaluation passes of a temporary network on random images, in one process, without communication.

    Images have `channels` and `size` (height, width) in training and `evaluated_size` in evaluation; classes are 0 to
    `num_classes` - 1. At most two of the accumulated batches are run: all after the first take the same memory.
    `reserved_bytes` are allocated meanwhile, for decoded images and the gradient buffers of DDP. `world` has all processes,
    which agree on the minimum; `step` uses a world of this process only.
    """

    world: World
    step: TrainingStep
    predictor: Predictor
    channels: int
    size: tuple[int, int]
    evaluated_size: tuple[int, int]
    num_classes: int
    batches: int = 1
    reserved_bytes: int = 0

    @classmethod
    def of(
        cls, world: World, step: TrainingStep, predictor: Predictor, *, channels: int, size: tuple[int, int],
        evaluated_size: tuple[int, int],
        num_classes: int, accumulate: int = 1, reserved_bytes: int = 0,
    ) -> DryRun:  # fmt: skip
        """A dry run of `step`, whose network and optimizer are modified; a learning rate of 0 keeps losses finite."""
        parts = step.trainable
        device = step.world.device
        scaler = parts.scaler and torch.amp.GradScaler(device.type, init_scale=1.0)  # with which no step is skipped
        still = replace(parts, schedule=LambdaLR(parts.optimizer, lambda _: 0.0), scaler=scaler)
        step = replace(step, trainable=still, micro_batch=None, queue_depth=0, latch=NonFiniteLatch())
        return cls(
            world, step, predictor, channels, size, evaluated_size, num_classes, min(accumulate, 2), reserved_bytes
        )  # fmt: skip

    def training_bytes(self, images: int) -> int | None:
        """Peak bytes of the second of two steps with batches of `images`, weights and optimizer state included.

        None if memory runs out in either step. The first step, in which libraries select algorithms and the optimizer
        allocates its state, isn't measured. 0 if the system doesn't report memory.
        """

        def steps() -> int:
            self._train(images)
            memory = PeakMemory(self.step.world.device, held=held_bytes(self.step.trainable))
            self._train(images)
            peak = memory.peak()
            return peak.peak_bytes if peak else 0

        return self._within_memory(steps)

    def evaluation_fits(self, images: int) -> bool:
        """Whether an evaluation pass of `images` fits beside weights and optimizer state."""

        def one_pass() -> int:
            batch = self._batch(images, self.evaluated_size)
            predicted = self.predictor.classes_of_a_pass(batch.images.to(self.predictor.device))
            return int(confusions(batch.masks.to(predicted.device), predicted, self.num_classes).sum())

        return self._within_memory(one_pass) is not None

    def _within_memory(self, work: Callable[[], int]) -> int | None:
        device, result = self.step.world.device, None
        reserved: torch.Tensor | None = None
        try:
            reserved = torch.empty(self.reserved_bytes, dtype=torch.uint8, device=device)
            result = work()
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        # Only after the except block are the error's frames, which hold the step's tensors, released.
        del reserved
        self.step.trainable.optimizer.zero_grad(set_to_none=True)
        release_memory(device)
        return result

    def _train(self, images: int) -> None:
        self.step.network.train()
        self.step.without_test([self._batch(images, self.size) for _ in range(self.batches)])

    def _batch(self, images: int, size: tuple[int, int]) -> Batch:
        shape = (images, *size)
        pixels = torch.randint(256, (*shape, self.channels), dtype=torch.uint8).permute(0, 3, 1, 2)
        return Batch(pixels, torch.randint(self.num_classes, shape, dtype=torch.uint8), torch.arange(images))


def fitting_micro_batch(dry_run: DryRun, most: int) -> int:
    """The largest number of images, out of `most` halved repeatedly, that fits in a training step; the minimum over all processes.

    Raises:
        RunError: a single image doesn't fit in some process; raised in every process.
    """
    found = first_that_fits(halvings(most), lambda images: dry_run.training_bytes(images) is not None)
    return _agreed(dry_run, found)


def fitting_batch(dry_run: DryRun, numbers: Sequence[int], usable_bytes: int) -> int | None:
    """The largest of the ascending `numbers` of images whose training step takes at most `usable_bytes` in every process.

    None if not even the first one does.

    Raises:
        RunError: the system doesn't report how much memory a step takes.
    """

    def fits(images: int) -> bool:
        taken = dry_run.training_bytes(images)
        if taken == 0:
            raise RunError(
                "training.batch_size: auto: memory use of a step is reported by CUDA only, not by this system; set a number"
            )
        return taken is not None and taken <= usable_bytes

    found = largest(numbers, fits)
    return min(number or 0 for number in dry_run.world.gathered(found)) or None


def fitting_evaluation_batch(dry_run: DryRun, most: int) -> int:
    """The largest number of images, out of `most` halved repeatedly, that fits in an evaluation pass; 1 if none does."""
    found = first_that_fits(halvings(most), dry_run.evaluation_fits)
    return min(number or 1 for number in dry_run.world.gathered(found))


def _agreed(dry_run: DryRun, found: int | None) -> int:
    each = min(number or 0 for number in dry_run.world.gathered(found))
    if not each:
        raise RunError(
            "out of memory: a training step with a single image doesn't fit; close other programs that use the device, or "
            "choose a smaller crop or network, or set training.gradient_checkpointing: true"
        )
    return each


def evaluated_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Height and width of the largest pass for images of these sizes."""
    return max((size_of_a_pass(height, width) for height, width in sizes), key=lambda size: size[0] * size[1])


def learns_statistics(model: nn.Module) -> bool:
    """Whether batch normalisation computes batch statistics in training, which may need more than one image."""
    model.train()
    return any(isinstance(module, _BatchNorm) and module.training for module in model.modules())
