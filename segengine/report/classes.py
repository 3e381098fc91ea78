"""Which of many classes a report shows first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MOST = 20
"""Of more classes, the lowest and the highest ten come first, and the others on demand."""


def extremes(names: Sequence[str], scores: Mapping[str, float | None]) -> tuple[list[str], list[str]]:
    """The ten classes of the lowest scores, the lowest first, and the ten of the highest, the highest first.

    Both are empty of at most 20 classes. Classes without a score are in neither.
    """
    if len(names) <= MOST:
        return [], []
    known = [(value, place, name) for place, name in enumerate(names) if (value := scores.get(name)) is not None]
    ranked = [name for _, _, name in sorted(known)]
    low = ranked[: min(MOST // 2, len(ranked) // 2)]
    return low, ranked[len(low) :][::-1][: MOST // 2]
