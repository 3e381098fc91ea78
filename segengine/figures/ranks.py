"""Chart of rank stability: how often each variant was first over the resamples, and its range of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segengine.figures.axes import below
from segengine.figures.palette import series
from segengine.figures.scales import Scale
from segengine.figures.svg import Drawing, Mark, fitting, group, line, point, rect, text


@dataclass(frozen=True)
class Rank:
    """The ranks of one variant over the resamples.

    Attributes:
        place: index in the palette.
        first: fraction of resamples in which the variant was first, 0..1.
        mean: mean rank, 1 is best.
        low, high: ends of the range of ranks.
        about: title, shown as a tooltip and read by screen readers.
    """

    name: str
    place: int
    first: float
    mean: float
    low: float
    high: float
    about: str


@dataclass(frozen=True)
class RankChart:
    """Variants from top to bottom, on ranks 1 to `count`."""

    rows: Sequence[Rank]
    count: int

    def draw(self, width: float) -> Drawing:
        """The chart, `width` units wide: name, fraction and ranks side by side, the name above them if it is narrow."""
        beside = width >= 600
        label = min(220.0, width * 0.27) if beside else 0.0
        middle = label + (width - label) * 0.5
        first = Scale(0, 1, label + 14, middle - 40)
        ranks = Scale(0.5, max(2, self.count) + 0.5, middle + 20, width - 14)
        high, top = (32.0 if beside else 48.0), 8.0
        bottom = top + high * len(self.rows)
        marks = [
            *below(first, top, bottom, "came first", most=2, percent=True),
            *below(ranks, top, bottom, "rank (1 is best)", most=8, whole=True),
        ]
        for k, row in enumerate(self.rows):
            y = top + high * k + (high / 2 if beside else high - 15)
            name = (text(label, y + 4, fitting(row.name, 13, label - 4), size=13, anchor="end") if beside
                    else text(4, y - 16, fitting(row.name, 13, width - 8), size=13))  # fmt: skip
            span = line(ranks(row.low), y, ranks(row.high), y, series(row.place), width=3)
            mean = point(ranks(row.mean), y, row.place, series(row.place))
            ground = () if beside else (rect(0, y - 30, width, 20, "ground"),)
            marks.append(group(*ground, name, *_bar(row, first, y), span, mean, about=row.about))
        return Drawing(width, bottom + 46, tuple(marks))


def _bar(row: Rank, scale: Scale, y: float) -> list[Mark]:
    end = scale(row.first)
    label = "<1 %" if 0 < row.first < 0.005 else f"{100 * row.first:.0f} %"
    return [
        rect(scale.start, y - 8, scale.end - scale.start, 16, "panel"),
        rect(scale.start, y - 8, end - scale.start, 16, series(row.place)),
        text(scale.end + 5, y + 4, label, size=12),
    ]
