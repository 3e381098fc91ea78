"""What a metric's numbers are in, and which are better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """Differences are told in `unit`, which is 1 / `factor` of a value; `words` is what tables call the metric."""

    words: str = ""
    better: Literal["higher", "lower"] = "higher"
    unit: str = "points"
    factor: float = 100.0

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return 1 if self.better == "higher" else -1


SHARE = Measure()
"""A score from 0 to 1, told in points (hundredths); higher is better."""
