"""One optimizer step: mean loss over the step's valid pixels, across micro-batches and processes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from segengine.data.batches.batch import Batch
from segengine.data.masks.mapping import IGNORE
from segengine.engine.checkpoint import Trainable
from segengine.engine.distributed import World
from segengine.engine.non_finite import (
    NonFiniteLatch,
    gradient_norm,
    images_with_bad_gradient,
    images_with_bad_loss,
    not_usable,
    step_error,
)
from segengine.engine.precision import Precision
from segengine.errors import RunError


class StepResult(NamedTuple):
    """Result of a step: loss, gradient norm before clipping, and whether any process received a stop request.

    The norm is infinite or NaN if a gradient scaler skipped the step.
    """

    loss: float
    gradient_norm: float
    stop: bool


@dataclass(frozen=True)
class TrainingStep:
    """How a step is computed. `network` runs the forward pass (the model, or its DDP or compiled wrapper).

    At most `micro_batch` images per forward pass (None: whole batches). `queue_depth` further steps are
    queued on the device before a step's loss is read back, so that the device never waits for the host; if not 0,
    the optimizer must be one that `non_finite.queue_depth` accepts.
    """

    trainable: Trainable
    network: nn.Module
    loss: nn.Module
    precision: Precision
    world: World
    clip_norm: float | None
    name_of: Callable[[int], str]
    micro_batch: int | None = None
    queue_depth: int = 0
    latch: NonFiniteLatch = field(default_factory=NonFiniteLatch)

    def __call__(self, batches: Sequence[Batch], *, stop: bool = False) -> QueuedStep:
        """Compute one step from the micro-batches of this process.

        The loss is the mean over the valid pixels of all micro-batches and processes, so that accumulation and
        several processes equal one large batch. Loss and total gradient norm are tested before the
        optimizer changes a weight.

        Raises:
            RunError: the loss or the gradient is infinite or NaN, see `QueuedStep.result`, which is called here unless
                steps are queued.
        """
        parts = self._parts(batches)
        numbers, norm = self._gradients(parts, stop)
        queued = QueuedStep(self, parts, copy_to_host(numbers) if self.queue_depth else numbers.tolist)
        if not self.queue_depth:
            queued.result()
        self._update(numbers, norm)
        return queued

    def without_test(self, batches: Sequence[Batch]) -> None:
        """One step without the tests for non-finite values, for measuring memory."""
        self._update(*self._gradients(self._parts(batches), stop=False))

    def _parts(self, batches: Sequence[Batch]) -> list[Batch]:
        return [part.to(self.world.device) for batch in batches for part in split_batch(batch, self.micro_batch)]

    def _gradients(self, batches: Sequence[Batch], stop: bool) -> tuple[Tensor, Tensor]:
        """Statistics float64 of the step, identical in each process, and the gradient's norm on the device.

        The statistics are the loss, the number of processes with a stop request, the norm, a flag for a non-finite gradient,
        and for each part the number of processes with a non-finite loss.
        """
        world, network = self.world, self.network
        weights, stopping = self._weights(batches, stop)
        losses, values = [], []
        for i, (batch, weight) in enumerate(zip(batches, weights, strict=True)):
            last = i == len(batches) - 1
            unsynced = isinstance(network, DistributedDataParallel) and not last
            with network.no_sync() if unsynced else nullcontext():  # type: ignore[operator]
                value, weighted = self._backward(network, batch, weight)
            losses.append(weighted)
            values.append(value)
        norm, bad = self._gradient_norm()
        if world.size == 1 and not self.queue_depth:  # read back immediately
            wrong = [float(not math.isfinite(value.item())) for value in values]
            own = [sum(loss.item() for loss in losses), float(stop), norm.item(), bad.item(), *wrong]
            return torch.tensor(own, dtype=torch.float64), norm
        total = torch.stack(losses).to(world.wide).sum() / world.size
        flags = (~torch.isfinite(torch.stack(values))).to(world.wide)
        # If one process's loss is NaN, so is the sum.
        agreed = world.summed(torch.cat([torch.stack([total, stopping / world.size]), flags]))
        own_norm = torch.stack(
            [norm.to(world.wide), bad.to(world.wide)]
        )  # DDP has averaged gradients: equal on all ranks
        return torch.cat([agreed[:2], own_norm, agreed[2:]]), norm

    def _gradient_norm(self) -> tuple[Tensor, Tensor]:
        """Total norm of the unscaled gradients, and whether it is an error."""
        parts = self.trainable
        if parts.scaler:
            parts.scaler.unscale_(parts.optimizer)
        norm = gradient_norm(parts.model.parameters()).to(self.world.device)
        return norm, not_usable(norm, parts.scaler)

    def _weights(self, batches: Sequence[Batch], stop: bool) -> tuple[Sequence[Tensor | None], Tensor]:
        """Each part's fraction of the valid pixels of all processes times the world size (None for 1), and the number of stop requests."""
        world = self.world
        if world.size == 1 and len(batches) == 1:
            return [None], torch.full((), float(stop), dtype=world.wide, device=world.device)
        valid = torch.stack([(batch.masks != IGNORE).sum() for batch in batches]).to(world.wide)
        stop_flag = torch.full_like(valid[:1], float(stop))
        everywhere, stopping = world.summed(torch.cat([valid.sum()[None], stop_flag]))
        return list((valid * world.size / everywhere.clamp(min=1)).float()), stopping

    def _backward(self, network: nn.Module, batch: Batch, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        value = self.loss(self._logits(network, batch).float(), batch.masks.long())
        weighted = value if weight is None else value * weight
        scaler = self.trainable.scaler
        (scaler.scale(self.latch.loss(weighted)) if scaler else weighted).backward()
        return value.detach(), weighted.detach()

    def _logits(self, network: nn.Module, batch: Batch) -> Tensor:
        try:
            with self.precision.autocast():
                logits: Tensor = network(batch.images.contiguous(memory_format=torch.channels_last))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise RunError(
                "batch normalisation needs more than one value per channel; the deepest feature map of a single image is one pixel; "
                "set training.batch_size to at least 2 for each process, or crop larger"
            ) from error
        return logits

    def _update(self, numbers: Tensor, norm: Tensor) -> None:
        parts, scaler = self.trainable, self.trainable.scaler
        if self.queue_depth:
            self.latch.remember(numbers[3:])
        if self.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parts.model.parameters(), self.clip_norm, norm)
        if scaler:
            scaler.step(parts.optimizer)
            scaler.update()
        else:
            self.latch.step(parts.optimizer)
        parts.optimizer.zero_grad(set_to_none=True)
        with warnings.catch_warnings():
            # The schedule also counts steps skipped by a gradient scaler; torch warns if the first step is skipped.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step", category=UserWarning)
            parts.schedule.step()
        if parts.average is not None:
            parts.average.update_parameters(parts.model)

    def not_finite(self, parts: Sequence[Batch], *, loss_is_bad: bool) -> RunError:
        """The error for a step with a non-finite loss in `parts`, or a non-finite gradient; collective, called by every process.

        The weights haven't been updated since.
        """
        blamed = self._bad_loss if loss_is_bad else self._bad_gradient
        names = [name for part in parts for found in self.world.gathered(blamed(part)) for name in found]
        everyone = [self.name_of(int(index)) for part in parts for index in part.indices]
        # If a second pass finds none, the cause is randomness in the network or a loss over the whole batch.
        rate = float(self.trainable.schedule.get_last_lr()[0])
        return step_error(names or everyone, loss_is_bad=loss_is_bad, learning_rate=rate)

    def _bad_loss(self, batch: Batch) -> list[str]:
        with torch.no_grad():
            logits = self._logits(self.trainable.model, batch).float()
        found = images_with_bad_loss(logits, batch.masks.long(), self.loss)
        return [self.name_of(int(batch.indices[i])) for i in found]

    def _bad_gradient(self, batch: Batch) -> list[str]:
        model = self.trainable.model
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        found = images_with_bad_gradient(
            lambda: self._logits(model, batch).float(), batch.masks.long(), self.loss, parameters
        )
        return [self.name_of(int(batch.indices[i])) for i in found]


@dataclass
class QueuedStep:
    """A queued step whose loss may not have been read back yet; `read_back` waits for its statistics."""

    step: TrainingStep
    parts: Sequence[Batch]
    read_back: Callable[[], list[float]]
    known: StepResult | None = None

    def result(self) -> StepResult:
        """The step's loss, gradient norm and stop requests; waits until they are computed.

        Raises:
            RunError: the loss or the gradient is infinite or NaN; names the images. The weights are those before the step.
        """
        if self.known is None:
            loss, stopping, norm, bad_gradient, *bad = self.read_back()
            if any(bad) or bad_gradient:
                parts = [part for part, flag in zip(self.parts, bad, strict=True) if flag or not any(bad)]
                raise self.step.not_finite(parts, loss_is_bad=any(bad))
            self.known, self.parts = StepResult(loss, norm, stopping > 0), ()
        return self.known


def copy_to_host(numbers: Tensor) -> Callable[[], list[float]]:
    """Start an asynchronous copy to the host; the returned function waits for it and returns the values."""
    if numbers.device.type != "cuda":
        return numbers.tolist
    host = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
    host.copy_(numbers, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record()

    def arrived() -> list[float]:
        copied.synchronize()
        return list(host.tolist())

    return arrived


def split_batch(batch: Batch, most: int | None) -> list[Batch]:
    """Split the batch into parts of nearly equal size with at most `most` images; undivided if `most` is None."""
    pieces = 1 if most is None else -(-len(batch.indices) // most)
    if pieces == 1:
        return [batch]
    parts = zip(*(tensor.tensor_split(pieces) for tensor in (batch.images, batch.masks, batch.indices)), strict=True)
    return [Batch(images, masks, indices) for images, masks, indices in parts]
