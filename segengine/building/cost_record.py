"""Cost record of a trained network, from passes timed in rounds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from segengine.engine.memory import Peak
from segengine.engine.prediction import Predictor
from segengine.engine.timing import NetworkClock, OtherLoad, Passes, is_busy, machine_name, spread_of, threads
from segengine.runs.costs import CostRecord, Latency, Memory, Rounds, Throughput
from segengine.runs.provenance import now, versions

BATCH = 8
"""Default number of images per pass for throughput."""


@dataclass
class Timings:
    """Seconds of single-image passes by round and of batched passes, and the load of other processes."""

    single: list[list[float]] = field(default_factory=list)
    batched: list[float] = field(default_factory=list)
    load: OtherLoad = field(default_factory=OtherLoad)

    def round(self, clock: NetworkClock, single: Passes, batch: int, batched: Passes) -> None:
        """Time passes of one image and of `batch` images, each after an untimed pass."""
        clock.warm_up(1, passes=1)
        with self.load:
            self.single.append(clock.seconds(1, single))
        clock.warm_up(batch, passes=1)
        with self.load:
            self.batched += clock.seconds(batch, batched)

    @property
    def spread(self) -> float:
        """Ratio of the slowest to the fastest round."""
        return spread_of(self.single)

    def busy(self, clock: NetworkClock) -> bool:
        """Whether the machine was too busy for a reliable measurement."""
        return is_busy(self.spread, self.load.cores, threads(clock.predictor.device))


def cost_record(
    predictor: Predictor, timings: Timings, *, by: str, network_of: str, channels: int, size: tuple[int, int], batch: int,
    peak: Peak | None, attempts: int, busy: bool,
) -> CostRecord:  # fmt: skip
    """cost.json of timed passes; `attempts` is the number of measurements, `busy` whether the machine was busy in the last."""
    single = [seconds for passes in timings.single for seconds in passes]
    low, middle, high = (round(float(q), 4) for q in np.quantile(np.array(single) * 1000, (0.05, 0.5, 0.95)))
    device, other_cores = predictor.device, timings.load.cores
    return CostRecord.model_validate({
        "measured": now(), "by": by, "network_of": network_of, "device": machine_name(device),
        "threads": threads(device), "torch": versions()["torch"],
        "precision": predictor.precision.name, "channels": channels, "size": size,
        "latency": Latency(batch=1, repeats=len(single), median_ms=middle, low_ms=low, high_ms=high),
        "throughput": Throughput(
            batch=batch, repeats=len(timings.batched), images_per_second=round(batch / float(np.median(timings.batched)), 3)
        ),
        "memory": Memory(kind=peak.kind, peak_bytes=peak.peak_bytes, batch=batch) if peak else None,
        "rounds": Rounds(
            median_ms=tuple(round(1000 * float(np.median(passes)), 4) for passes in timings.single),
            spread=round(timings.spread, 3), other_cores=None if other_cores is None else round(other_cores, 2),
            attempts=attempts, busy=busy,
        ),
    })  # fmt: skip
