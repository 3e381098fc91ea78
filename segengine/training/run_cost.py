"""Short cost measurement at the end of a run."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from segengine.building.cost_record import BATCH, Timings, cost_record
from segengine.engine.memory import PeakMemory, tensor_bytes
from segengine.engine.timing import NetworkClock, Passes
from segengine.runs.costs import write_cost
from segengine.training.context import RunContext

if TYPE_CHECKING:
    from torch import nn

_ROUNDS, _ATTEMPTS = 3, 2
_SINGLE = Passes(least=2, most=10, seconds=0.17)
_BATCHED = Passes(least=1, most=4, seconds=0.17)


def measure_run(context: RunContext, model: nn.Module, size: tuple[int, int], training_pixels: int) -> None:
    """Time `model` on images of `size` (height, width) and write cost.json.

    A pass has at most `training_pixels` pixels, those of a training step, so that it fits into memory.
    Inference memory is measured on GPUs only: on a CPU, memory freed by training would hide it.
    """
    predictor, channels = context.predictor(model), context.dataset.channels
    batch = max(1, min(BATCH, training_pixels // prod(size)))
    clock = NetworkClock(predictor, channels=channels, size=size)
    clock.warm_up(1)
    memory = (
        PeakMemory(predictor.device, held=tensor_bytes(model.state_dict())) if predictor.device.type == "cuda" else None
    )
    clock.warm_up(batch, passes=1)
    peak = memory.peak() if memory else None
    made: list[Timings] = []
    while not made or (made[-1].busy(clock) and len(made) < _ATTEMPTS):
        made.append(Timings())
        for _ in range(_ROUNDS):
            made[-1].round(clock, _SINGLE, batch, _BATCHED)
    timings = min(made, key=lambda each: (each.busy(clock), each.spread))
    record = cost_record(
        predictor, timings, by="run", network_of=context.request.folder.name, channels=channels, size=size, batch=batch,
        peak=peak, attempts=len(made), busy=timings.busy(clock),
    )  # fmt: skip
    write_cost(context.request.folder, record)
