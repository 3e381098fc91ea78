"""Which differences the page shows, each with the better-ranked variant first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segengine.comparison.page.view import View
from segengine.comparison.statistics.differences import Differences, PairDifference, Verdict

MOST_PAIRS = 60
_TURNED: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}


def seen_from(row: PairDifference, first: str) -> PairDifference:
    """The same difference with `first` as the first of the pair."""
    if row.first == first:
        return row
    difference, low, high = (None if x is None else -x for x in (row.difference, row.high, row.low))
    return replace(
        row, first=row.second, second=row.first, seeds=row.seeds[::-1], difference=difference, low=low, high=high,
        verdict=_TURNED.get(row.verdict, row.verdict),
    )  # fmt: skip


def shown_pairs(view: View, found: Differences) -> list[PairDifference]:
    """Differences of means that the page shows: all of few variants, else those of the best one."""
    rows = _in_order(view, found.means)
    best = view.names[view.ranked[0]]
    return rows if len(rows) <= MOST_PAIRS else [row for row in rows if row.first == best]


def shown_classes(view: View, found: Differences) -> list[PairDifference]:
    """Differences by class that the page shows: of all pairs if few, else of the best two variants."""
    rows = _in_order(view, [row for row in found.rows if row.score is not None])
    if len(rows) <= MOST_PAIRS // 2 or len(view.ranked) < 2:
        return rows
    best, second = (view.names[i] for i in view.ranked[:2])
    return [row for row in rows if (row.first, row.second) == (best, second)]


def _in_order(view: View, rows: Sequence[PairDifference]) -> list[PairDifference]:
    """By rank of both variants, the better-ranked first; classes stay in their order."""
    rank = {view.names[i]: place for place, i in enumerate(view.ranked)}
    turned = [seen_from(row, min(row.first, row.second, key=rank.__getitem__)) for row in rows]
    return sorted(turned, key=lambda row: (rank[row.first], rank[row.second]))
