"""torch.compile: the decision whether it saves time, and the fallback if compilation fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal, cast

import torch
from torch import nn

from segengine.engine.distributed import World, synchronize
from segengine.engine.machine_errors import out_of_memory
from segengine.engine.precision import Precision

GAIN = 0.2
"""Assumed fraction of a GPU step's time that compilation saves; convolutions alone gain nothing."""
COMPILING_SECONDS = 120
"""Assumed duration of compilation."""


@dataclass(frozen=True)
class StepTimer:
    """Times steps of `model` on random images, without side effects on the model or torch's generators.

    Images have `channels` and `size` (height, width in pixels), and classes 0..`num_classes` - 1.
    """

    model: nn.Module
    loss: nn.Module
    precision: Precision
    device: torch.device
    channels: int
    size: tuple[int, int]
    num_classes: int

    def seconds(self, images: int, *, network: nn.Module | None = None, steps: int = 1) -> float:
        """Seconds of forward and backward with a batch of `images`, the minimum of `steps`; `network` replaces the model.

        Weights, buffers and torch's generators are restored and gradients cleared, also on an exception.
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


@dataclass(frozen=True)
class Compilation:
    """Whether the network is compiled, and why."""

    used: bool
    why: str

    def as_dict(self) -> dict[str, object]:
        """For run.json."""
        return asdict(self)


def decide(
    requested: bool | Literal["auto"], device: torch.device, size: tuple[int, int] | None, seconds: Callable[[], float]
) -> Compilation:
    """`auto`: compile on a GPU if a fifth of the expected training time in `seconds` exceeds the compilation time.

    `seconds` is called only if needed. `size` is that of training samples, None if they differ.
    """
    if not requested:
        return Compilation(False, "training.compile: false")
    if size is None:
        return Compilation(False, "training images differ in size, and each size would need its own compilation")
    if requested != "auto":
        return Compilation(True, "training.compile: true")
    if device.type != "cuda":
        return Compilation(
            False, "on a CPU most of the time is spent in convolutions, which compilation doesn't speed up"
        )
    whole = seconds()
    pays = GAIN * whole > COMPILING_SECONDS
    return Compilation(
        pays,
        f"training takes about {whole:.0f} s uncompiled, {GAIN:.0%} of that is {'more' if pays else 'not more'} than the "
        f"{COMPILING_SECONDS} s that compiling takes",
    )


def compiled(timer: StepTimer, images: int, world: World) -> tuple[nn.Module | None, str]:
    """The network compiled for batches of `images`, or None if compilation fails in any process, and the reason ('' if none).

    Only training shapes are compiled; the uncompiled model is evaluated and saved.
    """
    network, reason = cast("nn.Module", torch.compile(timer.model, dynamic=False)), ""
    try:
        timer.seconds(images, network=network)
    except Exception as error:  # a compiler error of any kind must not fail the run
        if out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    reason = next((each for each in world.gathered(reason) if each), "")
    return (None if reason else network), reason
