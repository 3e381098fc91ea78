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
    def is_share(self) -> bool:
        """Whether values are shares, 0 to 1, told in points; else they are lengths in `unit`."""
        return self.unit == "points"

    @property
    def in_unit(self) -> str:
        """` in mm` after a length's name; nothing for shares."""
        return "" if self.is_share else f" in {self.unit}"

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return 1 if self.better == "higher" else -1


SHARE = Measure()
"""A score from 0 to 1, told in points (hundredths); higher is better."""
