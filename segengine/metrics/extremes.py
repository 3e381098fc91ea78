"""Selects the classes that a table shows if there are too many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

EACH = 10
"""Number of classes at each end."""
MOST = 30
"""Up to this number a table shows all classes, in their own order."""


@dataclass(frozen=True)
class Extremes:
    """Indices of the worst and best values, worst first, and the numbers of omitted defined and undefined ones."""

    worst: tuple[int, ...]
    best: tuple[int, ...]
    between: int
    undefined: int

    @property
    def left_out(self) -> str:
        """The omitted classes, in words."""
        undefined = f" and {self.undefined} without a value" if self.undefined else ""
        return f"... {self.between} classes between{undefined}"


def extremes(values: Sequence[float | None], *, lower_is_better: bool = False) -> Extremes | None:
    """The `EACH` worst and best of `values` (None and NaN: undefined); None if there are at most `MOST`."""
    if len(values) <= MOST:
        return None
    defined = [i for i, value in enumerate(values) if value is not None and not math.isnan(value)]
    ordered = sorted(defined, key=lambda i: (values[i] or 0.0) * (-1 if lower_is_better else 1))
    worst = ordered[:EACH]
    best = ordered[max(EACH, len(ordered) - EACH) :]
    return Extremes(tuple(worst), tuple(best), len(ordered) - len(worst) - len(best), len(values) - len(defined))
