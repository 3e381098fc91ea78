"""One optimizer step: the mean loss over the step's valid pixels, wherever its batches are computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from segengine.data.batches.batch import Batch
from segengine.data.masks.mapping import IGNORE
from segengine.engine.checkpoint import Trainable
from segengine.engine.distributed import World
from segengine.engine.machine_errors import MachineError, out_of_memory
from segengine.engine.memory import MicroBatch, free_memory
from segengine.engine.non_finite import Guard, on_its_way
from segengine.engine.precision import Precision
from segengine.errors import RunError


@dataclass(frozen=True)
class Step:
    """How a step is made. `network` is what runs forward (the model, or its DDP or compiled wrapper).

    `ahead` steps more are given to the device before the numbers of one are read, so that it never waits for the host.
    Where it isn't 0 the optimizer must be one that `steps_ahead` accepts.
    """

    trainable: Trainable
    network: nn.Module
    loss: nn.Module
    precision: Precision
    world: World
    clip_norm: float | None
    name_of: Callable[[int], str]
    micro: MicroBatch = field(default_factory=MicroBatch)
    ahead: int = 0
    guard: Guard = field(default_factory=Guard)

    def __call__(self, batches: Sequence[Batch], *, stop: bool = False) -> Made:
        """Make one step from the micro-batches of this process.

        The loss is weighted by valid pixels over all micro-batches and processes, so that accumulation and
        several processes compute what one large batch would.

        Where memory runs out, the step is made again from micro-batches of half as many images, down to one; several
        processes agree on that at their first step and after each halving.

        Raises:
            RunError: memory is too small; or the loss isn't finite, see `Made.read`, which is called here unless
                steps are made ahead.
        """
        while True:
            parts = [batch.to(self.world.device) for batch in self.micro.parts(batches)]
            numbers = self._attempt(parts, stop)
            if numbers is not None:
                break
            # Out here the error with its frames, which hold the tensors of the attempt, is gone.
            self.trainable.optimizer.zero_grad(set_to_none=True)
            free_memory(self.world.device)
        made = Made(self, parts, on_its_way(numbers) if self.ahead else numbers.tolist)
        if not self.ahead:
            made.read()
        self._update(numbers[2:])
        return made

    def _attempt(self, parts: Sequence[Batch], stop: bool) -> Tensor | None:
        """Gradients and numbers of the step; None where memory ran out and smaller parts are to be tried."""
        alone, failure = self.micro.untried and self.world.size > 1 and not self._talks_in_forward(), None
        try:
            numbers = self._gradients(parts, stop, alone)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or (self.world.size > 1 and not alone):
                raise
            failure = error
        failed = self.world.total([float(failure is not None)])[0] > 0 if alone else failure is not None
        if failed:
            if not self.micro.halve(parts):
                raise failure or MachineError("out of memory in another process")
            return None
        if alone:
            self._average_gradients()
            numbers = self._agreed(numbers)
        self.micro.untried = False
        return numbers

    def _talks_in_forward(self) -> bool:
        """Whether processes wait for each other within the network, so that none can try alone."""
        return any(isinstance(module, nn.SyncBatchNorm) for module in self.trainable.model.modules())

    def _gradients(self, batches: Sequence[Batch], stop: bool, alone: bool) -> Tensor:
        """Numbers float64 of the step: its loss, how many want to stop, and for each part how many losses aren't finite.

        `alone`: gradients and numbers are of this process, for the others may have run out of memory.
        """
        world, network = self.world, self.network
        weights, stopping = self._weights(batches, stop)
        if alone and isinstance(network, DistributedDataParallel):
            network = network.module
        losses, values = [], []
        for i, (batch, weight) in enumerate(zip(batches, weights, strict=True)):
            last = i == len(batches) - 1
            unsynced = isinstance(network, DistributedDataParallel) and not last
            with network.no_sync() if unsynced else nullcontext():  # type: ignore[operator]
                value, weighted = self._backward(network, batch, weight)
            losses.append(weighted)
            values.append(value)
        if world.size == 1 and not self.ahead:  # the host needs them at once
            bad = [float(not math.isfinite(value.item())) for value in values]
            return torch.tensor([sum(loss.item() for loss in losses), float(stop), *bad], dtype=torch.float64)
        total = torch.stack(losses).to(world.wide).sum() / world.size
        flags = (~torch.isfinite(torch.stack(values))).to(world.wide)
        numbers = torch.cat([torch.stack([total, stopping / world.size]), flags])
        return numbers if alone else self._agreed(numbers)

    def _weights(self, batches: Sequence[Batch], stop: bool) -> tuple[Sequence[Tensor | None], Tensor]:
        """Each part's share of all processes' valid pixels times their number, None for 1; and how many want to stop."""
        world = self.world
        if world.size == 1 and len(batches) == 1:
            return [None], torch.full((), float(stop), dtype=world.wide, device=world.device)
        valid = torch.stack([(batch.masks != IGNORE).sum() for batch in batches]).to(world.wide)
        wish = torch.full_like(valid[:1], float(stop))
        everywhere, stopping = world.summed(torch.cat([valid.sum()[None], wish]))
        return list((valid * world.size / everywhere.clamp(min=1)).float()), stopping

    def _agreed(self, numbers: Tensor) -> Tensor:
        """The numbers over all processes; where one of them is no number, so is the sum."""
        return self.world.summed(numbers)

    def _average_gradients(self) -> None:
        """What DDP does while it computes them."""
        for parameter in self.trainable.model.parameters():
            if parameter.grad is not None:
                self.world.summed(parameter.grad.div_(self.world.size))

    def _backward(self, network: nn.Module, batch: Batch, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        value = self.loss(self._logits(network, batch).float(), batch.masks.long())
        weighted = value if weight is None else value * weight
        scaler = self.trainable.scaler
        (scaler.scale(self.guard.spoilt(weighted)) if scaler else weighted).backward()
        return value.detach(), weighted.detach()

    def _logits(self, network: nn.Module, batch: Batch) -> Tensor:
        try:
            with self.precision.autocast():
                logits: Tensor = network(batch.images.contiguous(memory_format=torch.channels_last))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise RunError(
                "batch normalisation can't learn from one image at a time whose deepest feature map is a single pixel; "
                "set training.batch_size to at least 2 for each process, or crop larger"
            ) from error
        return logits

    def _update(self, not_finite: Tensor) -> None:
        parts, scaler = self.trainable, self.trainable.scaler
        if self.ahead:
            self.guard.remember(not_finite)
        if self.clip_norm is not None:
            if scaler:
                scaler.unscale_(parts.optimizer)
            nn.utils.clip_grad_norm_(parts.model.parameters(), self.clip_norm)
        if scaler:
            scaler.step(parts.optimizer)
            scaler.update()
        else:
            self.guard.step(parts.optimizer)
        parts.optimizer.zero_grad(set_to_none=True)
        parts.schedule.step()
        if parts.average is not None:
            parts.average.update_parameters(parts.model)

    def not_finite(self, parts: Sequence[Batch]) -> RunError:
        """The error for a step in which the losses of `parts` weren't finite; every process must ask for it."""
        guilty = [name for part in parts for names in self.world.gathered(self._guilty(part)) for name in names]
        everyone = [self.name_of(int(index)) for part in parts for index in part.indices]
        guilty = guilty or everyone  # chance (dropout) made it, which doesn't come again
        more = f" and {len(guilty) - 5} more" if len(guilty) > 5 else ""
        rate = self.trainable.schedule.get_last_lr()[0]
        return RunError(
            f"the loss became infinite or NaN at images {', '.join(guilty[:5])}{more} (learning rate {rate:.3g}); the weights "
            "were not changed; lower training.optimizer.learning_rate, set training.clip_norm: 1, or look at these images"
        )

    @torch.no_grad()
    def _guilty(self, batch: Batch) -> list[str]:
        """The images of a part whose loss isn't finite; the weights are still those that computed it."""
        logits, target = self._logits(self.trainable.model, batch).float(), batch.masks.long()
        if torch.isfinite(self.loss(logits, target)):
            return []
        each = [self.loss(logits[i : i + 1], target[i : i + 1]) for i in range(len(logits))]
        guilty = [i for i, value in enumerate(each) if not torch.isfinite(value)] or list(range(len(each)))
        return [self.name_of(int(batch.indices[i])) for i in guilty]


@dataclass
class Made:
    """A step that was given to the device."""

    step: Step
    parts: Sequence[Batch]
    arrived: Callable[[], list[float]]
    numbers: tuple[float, bool] | None = None

    def read(self) -> tuple[float, bool]:
        """The step's loss, and whether any process wants to stop; waits until they are computed.

        Raises:
            RunError: the loss is not finite; names the images. The weights are those before the step.
        """
        if self.numbers is None:
            loss, stopping, *bad = self.arrived()
            if any(bad):
                raise self.step.not_finite([part for part, flag in zip(self.parts, bad, strict=True) if flag])
            self.numbers, self.parts = (loss, stopping > 0), ()
        return self.numbers
