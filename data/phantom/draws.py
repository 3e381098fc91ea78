"""Random numbers that stay the same on every machine and with every numpy release."""

import math
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Draws:
    """A stream of random numbers that belongs to a key such as `(2024, "p03", "liver")`.

    numpy promises that the raw bits of PCG64 never change, but not its distributions: those are derived here.
    """

    def __init__(self, *key: int | str) -> None:
        """Seed from whole numbers and words; other keys give independent streams."""
        entropy = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in key]
        self._bits = np.random.PCG64(np.random.SeedSequence(entropy))

    def fractions(self, count: int) -> Floats:
        """Return float64 [count], uniform in [0, 1)."""
        raw = np.asarray(self._bits.random_raw(count), dtype=np.uint64)
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def between(self, low: float, high: float) -> float:
        """Return one number, uniform in [low, high)."""
        return low + (high - low) * float(self.fractions(1)[0])

    def around(self, centre: Sequence[float], spread: Sequence[float]) -> tuple[float, ...]:
        """Return a point whose coordinates are uniform in centre - spread .. centre + spread."""
        return tuple(middle + self.between(-wide, wide) for middle, wide in zip(centre, spread, strict=True))

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.between(0, 1) < probability

    def normal_pair(self, height: int, width: int) -> tuple[Floats, Floats]:
        """Return two independent standard normal fields, float64 [height, width] (Box and Muller, 1958)."""
        count = height * width
        radius = np.sqrt(-2.0 * np.log(1.0 - self.fractions(count)))
        angle = 2.0 * math.pi * self.fractions(count)
        shape = (height, width)
        return (radius * np.cos(angle)).reshape(shape), (radius * np.sin(angle)).reshape(shape)
