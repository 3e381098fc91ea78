"""A training step on made-up images that leaves no trace: to see whether it runs, fits, and how long it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import nn

from segengine.engine.distributed import synchronize
from segengine.engine.precision import Precision


@dataclass(frozen=True)
class Rehearsal:
    """Steps of `model` on images of `channels` and `size` (height, width in pixels) with classes 0..`num_classes` - 1."""

    model: nn.Module
    loss: nn.Module
    precision: Precision
    device: torch.device
    channels: int
    size: tuple[int, int]
    num_classes: int

    def seconds(self, images: int, *, network: nn.Module | None = None, steps: int = 1) -> float:
        """Seconds of forward and backward with a batch of `images`: the fastest of `steps`, by `network` in place of the model.

        Weights, buffers and torch's generators are as before, and gradients are gone, also where it raises.
        """
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        was_training = self.model.training
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices):
                self.model.train()
                runs = self.model if network is None else network
                return min(self._step(runs, images) for _ in range(steps))
        finally:
            self.model.train(was_training)
            self.model.zero_grad(set_to_none=True)
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.data.copy_(before)

    def _step(self, network: nn.Module, images: int) -> float:
        shape = (images, *self.size)
        pixels = torch.randint(256, (*shape, self.channels), dtype=torch.uint8, device=self.device).permute(0, 3, 1, 2)
        target = torch.randint(self.num_classes, shape, device=self.device)
        synchronize(self.device)
        began = time.perf_counter()
        with self.precision.autocast():
            logits = network(pixels)
        self.loss(logits.float(), target).backward()
        synchronize(self.device)
        return time.perf_counter() - began
