"""What a trained network costs to use, as a run measures it at its end: short, with the machine as it is."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from segengine.engine.peak import Peak, PeakMemory, tensor_bytes
from segengine.engine.prediction import Predictor
from segengine.engine.timing import NetworkClock, Passes, machine_name, threads
from segengine.runs.costs import CostRecord, Latency, Memory, Throughput, write_cost
from segengine.runs.provenance import now, versions
from segengine.workflow.setting import Setting

if TYPE_CHECKING:
    from torch import nn

BATCH = 8
"""Images a pass where throughput is measured, unless another number is asked for."""

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


def cost_record(
    predictor: Predictor, *, by: str, network_of: str, channels: int, size: tuple[int, int], single: Sequence[float],
    batched: Sequence[float], batch: int, peak: Peak | None,
) -> CostRecord:  # fmt: skip
    """cost.json of seconds of passes of one image (`single`) and of `batch` images (`batched`)."""
    low, middle, high = (round(float(q), 4) for q in np.quantile(np.array(single) * 1000, (0.05, 0.5, 0.95)))
    device = predictor.device
    return CostRecord.model_validate({
        "measured": now(), "by": by, "network_of": network_of, "device": machine_name(device),
        "threads": threads(device), "torch": versions()["torch"],
        "precision": predictor.precision.name, "channels": channels, "size": size,
        "latency": Latency(batch=1, repeats=len(single), median_ms=middle, low_ms=low, high_ms=high),
        "throughput": Throughput(
            batch=batch, repeats=len(batched), images_per_second=round(batch / float(np.median(batched)), 3)
        ),
        "memory": Memory(kind=peak.kind, peak_bytes=peak.peak_bytes, batch=batch) if peak else None,
    })  # fmt: skip
