"""One optimizer step: the mean loss over the step's valid pixels, wherever its batches are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from segengine.data.batches import Batch
from segengine.data.mapping import IGNORE
from segengine.engine.checkpoint import Trainable
from segengine.engine.memory import MicroBatch, free_memory
from segengine.engine.precision import Precision
from segengine.engine.trouble import out_of_memory
from segengine.engine.world import World
from segengine.errors import RunError


@dataclass(frozen=True)
class Step:
    """How a step is made. `network` is what runs forward (the model, or its DDP or compiled wrapper)."""

    trainable: Trainable
    network: nn.Module
    loss: nn.Module
    precision: Precision
    world: World
    clip_norm: float | None
    name_of: Callable[[int], str]
    micro: MicroBatch = field(default_factory=MicroBatch)

    def __call__(self, batches: Sequence[Batch], *, stop: bool = False) -> tuple[float, bool]:
        """Make one step from the micro-batches of this process; returns its loss and whether any process wants to stop.

        The loss is weighted by valid pixels over all micro-batches and processes, so that accumulation and
        several processes compute what one large batch would.

        Where memory runs out, the step is made again from micro-batches of half as many images, down to one (only
        where a single process trains: the others would wait for each other).

        Raises:
            RunError: the loss is not finite; names the images, before the weights are changed. Or memory is too small.
        """
        while True:
            parts = self.micro.parts(batches)
            try:
                total, stopping = self._gradients(parts, stop)
                break
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self.world.size > 1 or not self.micro.halve(parts):
                    raise
            # Out here the error with its frames, which hold the tensors of the attempt, is gone.
            self.trainable.optimizer.zero_grad(set_to_none=True)
            free_memory(self.world.device)
        self._update()
        return total, stopping

    def _gradients(self, batches: Sequence[Batch], stop: bool) -> tuple[float, bool]:
        valid = [int((batch.masks != IGNORE).sum()) for batch in batches]
        everywhere, stopping = self.world.total([float(sum(valid)), float(stop)])
        total = 0.0
        for i, (batch, pixels) in enumerate(zip(batches, valid, strict=True)):
            last = i == len(batches) - 1
            unsynced = isinstance(self.network, DistributedDataParallel) and not last
            with self.network.no_sync() if unsynced else nullcontext():  # type: ignore[operator]
                total += self._backward(batch, pixels * self.world.size / max(1.0, everywhere))
        [total] = self.world.total([total / self.world.size])
        return total, stopping > 0

    def _backward(self, batch: Batch, weight: float) -> float:
        device = self.world.device
        images = batch.images.to(device, non_blocking=True, memory_format=torch.channels_last)
        target = batch.masks.to(device, non_blocking=True).long()
        logits = self._logits(images)
        value = self.loss(logits.float(), target)
        weighted = value * weight
        found = float(weighted.detach())
        finite = bool(torch.isfinite(value.detach()))
        if self.world.total([float(not finite)])[0]:
            guilty = [] if finite else self._guilty(batch, logits.detach(), target)
            raise RunError(self._not_finite([name for names in self.world.gathered(guilty) for name in names]))
        scaler = self.trainable.scaler
        (scaler.scale(weighted) if scaler else weighted).backward()
        return found

    def _logits(self, images: Tensor) -> Tensor:
        try:
            with self.precision.autocast():
                logits: Tensor = self.network(images)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise RunError(
                "batch normalisation can't learn from one image at a time whose deepest feature map is a single pixel; "
                "set training.batch_size to at least 2 for each process, or crop larger"
            ) from error
        return logits

    def _update(self) -> None:
        parts, scaler = self.trainable, self.trainable.scaler
        if self.clip_norm is not None:
            if scaler:
                scaler.unscale_(parts.optimizer)
            nn.utils.clip_grad_norm_(parts.model.parameters(), self.clip_norm)
        if scaler:
            scaler.step(parts.optimizer)
            scaler.update()
        else:
            parts.optimizer.step()
        parts.optimizer.zero_grad(set_to_none=True)
        parts.schedule.step()
        if parts.average is not None:
            parts.average.update_parameters(parts.model)

    def _guilty(self, batch: Batch, logits: Tensor, target: Tensor) -> list[str]:
        each = [self.loss(logits[i : i + 1].float(), target[i : i + 1]).detach() for i in range(len(logits))]
        guilty = [i for i, value in enumerate(each) if not torch.isfinite(value)] or list(range(len(each)))
        return [self.name_of(int(batch.indices[i])) for i in guilty]

    def _not_finite(self, guilty: list[str]) -> str:
        more = f" and {len(guilty) - 5} more" if len(guilty) > 5 else ""
        rate = self.trainable.schedule.get_last_lr()[0]
        return (
            f"the loss became infinite or NaN at images {', '.join(guilty[:5])}{more} (learning rate {rate:.3g}); the weights "
            "were not changed; lower training.optimizer.learning_rate, set training.clip_norm: 1, or look at these images"
        )
