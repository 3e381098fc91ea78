"""Linear and logarithmic axis scales with round ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Maps values from `low`..`high` to drawing units `start`..`end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (self._of(v) for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within the scale, at most about `most`."""
        return _log_ticks(self.low, self.high, most) if self.logarithmic else _round_ticks(self.low, self.high, most)

    def whole_ticks(self, most: int = 6) -> list[float]:
        """Round integers within the scale, such as epochs."""
        step = next(m * 10**p for p in range(19) for m in (1, 2, 5) if (self.high - self.low) / (m * 10**p) <= most)
        return [float(tick) for tick in range(step * math.ceil(self.low / step), math.floor(self.high) + 1, step)]

    def _of(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def scale_of(
    values: Sequence[float], start: float, end: float, *, room: float = 0.06, logarithmic: bool = False
) -> Scale:
    """A scale that covers all values, with a fraction `room` of the range added at both ends; wider if all values are equal."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if logarithmic:
        factor = max((high / low) ** room, 1.15)
        return Scale(low / factor, high * factor, start, end, logarithmic=True)
    width = (high - low) or abs(high) * 0.1 or 1.0
    return Scale(low - room * width, high + room * width, start, end)


def _round_ticks(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(1, most)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for multiples in ((1, 2, 5), (1, 3), (1,)):
        found = [float(f"{m * 10.0**p:.12g}") for p in powers for m in multiples if low <= m * 10.0**p <= high]
        if len(found) <= most:
            return found if len(found) > 1 else _round_ticks(low, high, most - 2)
    return found[:: math.ceil(len(found) / most)]


def shown(value: float) -> str:
    """A tick label in short form: 3e-4, 0.85, 12, 3.4k, 20M."""
    size = abs(value)
    for unit, limit in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if size >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.3g}{unit}"
    if 0 < size < 0.001:
        return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")
    return f"{value:.6g}"
