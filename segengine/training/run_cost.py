"""What a trained network costs to use, as a run measures it at its end: short, with the machine as it is."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from segengine.building.cost_record import BATCH, cost_record
from segengine.engine.peak import PeakMemory, tensor_bytes
from segengine.engine.timing import NetworkClock, Passes
from segengine.runs.costs import write_cost
from segengine.training.context import Setting

if TYPE_CHECKING:
    from torch import nn

_SINGLE = Passes(least=5, most=30, seconds=0.5)
_BATCHED = Passes(least=2, most=10, seconds=0.5)


def measure_run(setting: Setting, model: nn.Module, size: tuple[int, int], training_pixels: int) -> None:
    """Time `model` on images of `size` (height, width) and write cost.json.

    A pass holds no more pixels than a training step held (`training_pixels`), so that what could be trained can be measured.
    Inference's memory is measured on GPUs only: what training freed would hide it in a CPU's process.
    """
    predictor, channels = setting.predictor(model), setting.dataset.channels
    batch = max(1, min(BATCH, training_pixels // prod(size)))
    clock = NetworkClock(predictor, channels=channels, size=size)
    clock.warm_up(1)
    single = clock.seconds(1, _SINGLE)
    memory = (
        PeakMemory(predictor.device, held=tensor_bytes(model.state_dict())) if predictor.device.type == "cuda" else None
    )
    clock.warm_up(batch, passes=1)
    peak = memory.peak() if memory else None
    record = cost_record(
        predictor, by="run", network_of=setting.request.folder.name, channels=channels, size=size, single=single,
        batched=clock.seconds(batch, _BATCHED), batch=batch, peak=peak,
    )  # fmt: skip
    write_cost(setting.request.folder, record)
