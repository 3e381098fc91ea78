"""The record of what a trained network costs to use, from measured passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from segengine.engine.peak import Peak
from segengine.engine.prediction import Predictor
from segengine.engine.timing import machine_name, threads
from segengine.runs.costs import CostRecord, Latency, Memory, Throughput
from segengine.runs.provenance import now, versions

if TYPE_CHECKING:
    pass

BATCH = 8
"""Images a pass where throughput is measured, unless another number is asked for."""


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
