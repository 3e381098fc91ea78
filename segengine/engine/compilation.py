"""Whether a network is compiled by torch.compile: when that pays, and what happens where it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal, cast

import torch
from torch import nn

from segengine.engine.distributed import World
from segengine.engine.dry_run import Rehearsal
from segengine.engine.machine_errors import out_of_memory

GAIN = 0.2
"""Share of a step's time on a GPU that compiling is taken to save; convolutions alone gain nothing."""
COMPILING_SECONDS = 120
"""How long compiling is taken to last."""


@dataclass(frozen=True)
class Compilation:
    """Whether the network is compiled, and why."""

    used: bool
    why: str

    def as_dict(self) -> dict[str, object]:
        """For run.json."""
        return asdict(self)


def decide(
    wanted: bool | Literal["auto"], device: torch.device, size: tuple[int, int] | None, seconds: Callable[[], float]
) -> Compilation:
    """`auto`: on a GPU, where a fifth of the training's expected `seconds` is more than compiling takes.

    `seconds` is asked only where it matters. `size` is that of training samples, None where they differ.
    """
    if not wanted:
        return Compilation(False, "training.compile: false")
    if size is None:
        return Compilation(False, "training images differ in size, and each size would be compiled anew")
    if wanted != "auto":
        return Compilation(True, "training.compile: true")
    if device.type != "cuda":
        return Compilation(False, "on a CPU convolutions take the time, which compiling doesn't shorten")
    whole = seconds()
    pays = GAIN * whole > COMPILING_SECONDS
    return Compilation(
        pays,
        f"training takes about {whole:.0f} s uncompiled, {GAIN:.0%} of that is {'more' if pays else 'not more'} than the "
        f"{COMPILING_SECONDS} s that compiling takes",
    )


def compiled(rehearsal: Rehearsal, images: int, world: World) -> tuple[nn.Module | None, str]:
    """The network compiled for batches of `images`, None where that fails in any process; and why ('' for nothing).

    It is compiled for the shapes of training alone; what is evaluated and saved is the model itself.
    """
    network, reason = cast("nn.Module", torch.compile(rehearsal.model, dynamic=False)), ""
    try:
        rehearsal.seconds(images, network=network)
    except Exception as error:  # compilers fail in many ways, and none of them need cost a run
        if out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    reason = next((each for each in world.gathered(reason) if each), "")
    return (None if reason else network), reason
