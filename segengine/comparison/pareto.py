"""Which choices are worth their cost: those that no other beats in both score and cost (the Pareto front)."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(
    scores: Sequence[float | None], costs: Sequence[float | None], *, lower_is_better: bool = True
) -> tuple[bool, ...]:
    """Whether each choice is on the front: none other is at least as good in both and better in one.

    Higher scores are better; so are lower costs, or higher ones where `lower_is_better` is False (a speed). Equal choices
    are on the front together. A choice without score or cost is on no front and dominates nothing.
    """
    sign = 1.0 if lower_is_better else -1.0
    points = [None if s is None or c is None else (s, sign * c) for s, c in zip(scores, costs, strict=True)]
    known = [point for point in points if point is not None]
    return tuple(point is not None and not any(_dominates(other, point) for other in known) for point in points)


def _dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] >= b[0] and a[1] <= b[1] and a != b
