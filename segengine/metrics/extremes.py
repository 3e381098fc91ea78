"""Which classes a table shows where there are too many for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

EACH = 10
"""Classes at either end."""
MOST = 30
"""Classes that a table shows all of, in their own order."""


@dataclass(frozen=True)
class Extremes:
    """Places of the worst and the best values, worst first, and how many defined and undefined ones are left out."""

    worst: tuple[int, ...]
    best: tuple[int, ...]
    between: int
    undefined: int

    @property
    def left_out(self) -> str:
        """What the table leaves out, in words."""
        undefined = f" and {self.undefined} without a value" if self.undefined else ""
        return f"... {self.between} classes between{undefined}"


def extremes(values: Sequence[float | None], *, lower_is_better: bool = False) -> Extremes | None:
    """The `EACH` worst and best of `values` (None and NaN: undefined); None where there are at most `MOST`."""
    if len(values) <= MOST:
        return None
    defined = [i for i, value in enumerate(values) if value is not None and not math.isnan(value)]
    ordered = sorted(defined, key=lambda i: (values[i] or 0.0) * (-1 if lower_is_better else 1))
    worst = ordered[:EACH]
    best = ordered[max(EACH, len(ordered) - EACH) :]
    return Extremes(tuple(worst), tuple(best), len(ordered) - len(worst) - len(best), len(values) - len(defined))
