"""How firm the order is: how often each variant came first over resamples, and the ranks that it took."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.comparison.statistics.ranking import Ranking
from segengine.comparison.table import Table
from segengine.figures.axes import below
from segengine.figures.figure import Figure
from segengine.figures.palette import series
from segengine.figures.scales import Scale
from segengine.figures.svg import Drawing, Mark, fitting, line, point, rect, text

MOST, SAID = 30, 6


def rank_figure(rank: Ranking, names: Sequence[str], ranked: Sequence[int], resamples: int, table: Table) -> Figure:
    """`names` in the order of the ranking's entries, `ranked` their places, the best first."""
    shown = list(ranked)[:MOST]

    def draw(width: float) -> Drawing:
        beside = width >= 600
        label = min(220.0, width * 0.27) if beside else 0.0
        middle = label + (width - label) * 0.5
        first = Scale(0, 1, label + 14, middle - 40)
        ranks = Scale(0.5, max(2, len(names)) + 0.5, middle + 20, width - 14)
        high, top = (32.0 if beside else 48.0), 26.0
        bottom = top + high * len(shown)
        marks = [
            *below(first, top, bottom, "came first", most=2, percent=True),
            *_rank_axis(ranks, top, bottom, len(names)),
        ]
        for place, i in enumerate(shown):
            y = top + high * place + (high / 2 if beside else high - 15)
            x = label if beside else 0.0
            room = label - 4 if beside else width - 8
            marks.append(text(x + (0 if beside else 4), y + 4 if beside else y - 16, fitting(names[i], 13, room), size=13,
                              anchor="end" if beside else "start"))  # fmt: skip
            marks += _bar(rank.best[i], first, y, i)
            low, highest = rank.ranks[i]
            marks.append(line(ranks(low), y, ranks(highest), y, series(i), width=3))
            marks.append(point(ranks(rank.mean_rank[i]), y, i, series(i)))
        return Drawing(width, bottom + 46, tuple(marks))

    each = "; ".join(
        f"{names[i]} first in {100 * rank.best[i]:.0f} %, mean rank {rank.mean_rank[i]:.1f}, "
        f"rank{'s' * (rank.ranks[i][0] < rank.ranks[i][1])} {_range(rank.ranks[i])} in 95 %"
        for i in shown[:SAID]
    )
    more = f"; {len(names) - SAID} more in the table" if len(names) > SAID else ""
    described = f"Over {resamples:,} bootstrap resamples: {each}{more}. Kendall's tau with the order seen: {rank.stability:.2f}."
    return Figure("ranking", "How firm the order is", described, draw, table)


def _bar(share: float, scale: Scale, y: float, place: int) -> list[Mark]:
    end = scale(share)
    said = "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"
    return [
        rect(scale.start, y - 8, scale.end - scale.start, 16, "panel"), rect(scale.start, y - 8, end - scale.start, 16, series(place)),
        text(scale.end + 5, y + 4, said, size=12),
    ]  # fmt: skip


def _rank_axis(scale: Scale, top: float, bottom: float, count: int) -> list[Mark]:
    step = max(1, -(-count // 8))
    marks = []
    for rank in range(1, count + 1, step):
        marks.append(line(scale(rank), top, scale(rank), bottom, "grid"))
        marks.append(text(scale(rank), bottom + 17, str(rank), role="muted", anchor="middle"))
    middle = (scale.start + scale.end) / 2
    return [*marks, text(middle, bottom + 36, "rank (1 is best)", role="muted", anchor="middle")]


def _range(ranks: tuple[int, int]) -> str:
    low, high = ranks
    return str(low) if low == high else f"{low} to {high}"
