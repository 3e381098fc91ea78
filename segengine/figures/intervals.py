"""Chart of paired differences with confidence intervals, one row per pair, and the margin of practical equality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segengine.figures.axes import below
from segengine.figures.scales import Scale, scale_of
from segengine.figures.svg import Drawing, Mark, fitting, group, line, point, rect, text, text_width

SIZE = 13.0
_LOOK = {  # verdict: role, shape, hollow
    "better": ("better", 0, False), "worse": ("worse", 0, False), "practically equal": ("equal", 1, False),
    "not distinguishable": ("muted", 0, True), "not tested": ("muted", 2, True),
}  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """The difference `first` - `second` of two variants, in the unit of the axis.

    Attributes:
        low, high: ends of the confidence interval; None if there is none.
        verdict: one of the verdicts of a comparison, such as "better".
        said: text shown beside the interval.
        score: class of the score; empty for the mean.
    """

    first: str
    second: str
    value: float
    low: float | None
    high: float | None
    verdict: str
    said: str
    score: str = ""

    @property
    def pair(self) -> str:
        return f"{self.first} − {self.second}"


@dataclass(frozen=True)
class DifferenceChart:
    """Chart of differences; those of single classes are grouped by pair.

    Attributes:
        margin: margin of practical equality, in the unit of the differences.
        axis: title of the axis.
    """

    rows: Sequence[Difference]
    margin: float
    axis: str

    def draw(self, width: float) -> Drawing:
        """The chart, `width` units wide: name, interval and verdict side by side, below each other if it is narrow."""
        beside = width >= 600
        widest = max(text_width(row.score or row.pair, SIZE) for row in self.rows)
        said = max(text_width(row.said, 12.5) for row in self.rows)
        left, right = (min(max(widest + 20, 150.0), width * 0.4), width - said - 20) if beside else (12.0, width - 12)
        scale = scale_of(self._ends(), left, right)
        drawn: list[Mark] = []
        y = top = 8.0
        before = ""
        for row in self.rows:
            if row.score and row.pair != before:
                for name in _lines(row, width - 8, bold=True):
                    drawn.append(rect(0, y, 0 if beside else width, 26, "ground"))
                    drawn.append(text(4, y + 15, name, size=SIZE, bold=True, halo=True))
                    y += 20
                before, y = row.pair, y + 6
            marks, high = _beside(row, scale, y) if beside else _below(row, scale, y, width)
            about = f"{row.pair}{f', {row.score}' if row.score else ''}: {row.said}"
            drawn.append(group(*marks, about=about))
            y += high
        low, high = (min(max(scale(x), left), right) for x in (-self.margin, self.margin))
        frame = [rect(low, top, high - low, y - top, "margin"), *below(scale, top, y, self.axis)]
        return Drawing(width, y + 46, (*frame, line(scale(0), top, scale(0), y, "ink", width=1.2), *drawn))

    def _ends(self) -> list[float]:
        values = [x for row in self.rows for x in (row.value, row.low, row.high) if x is not None]
        shown = self.margin <= 3 * max(map(abs, values)) + 1
        return [*values, 0.0, *((-self.margin, self.margin) if shown else ())]


def _lines(row: Difference, room: float, *, bold: bool = False) -> list[str]:
    """`first − second` on one line, or on two if one is too narrow."""
    if text_width(row.pair, SIZE, bold=bold) <= room:
        return [fitting(row.pair, SIZE, room, bold=bold)]
    return [fitting(row.first, SIZE, room, bold=bold), f"− {fitting(row.second, SIZE, room - 2 * SIZE, bold=bold)}"]


def _beside(row: Difference, scale: Scale, top: float) -> tuple[list[Mark], float]:
    room = scale.start - 18
    names = [fitting(row.score, SIZE, room)] if row.score else _lines(row, room)
    high = 28.0 if len(names) == 1 else 38.0
    y = top + high / 2
    first = y + 4 - 8 * (len(names) - 1)
    marks = [text(scale.start - 14, first + 16 * k, name, size=SIZE, anchor="end") for k, name in enumerate(names)]
    marks.append(text(scale.end + 14, y + 4, row.said, role=_LOOK[row.verdict][0], size=12.5))
    return [*marks, *_interval(row, scale, y)], high


def _below(row: Difference, scale: Scale, top: float, width: float) -> tuple[list[Mark], float]:
    lines = [fitting(name, SIZE, width - 8) for name in ([row.score] if row.score else _lines(row, width - 8))]
    own_line = text_width(lines[-1], SIZE) > width - text_width(row.said, 12) - 16
    deep = 17.0 * (len(lines) + own_line) + 4
    marks = [rect(0, top, width, deep, "ground")]  # hides the grid behind the text
    marks += [text(4, top + 15 + 17 * k, each, size=SIZE) for k, each in enumerate(lines)]
    verdict = fitting(row.said, 12, width - 8)
    marks.append(text(width - 4, top + deep - 6, verdict, role=_LOOK[row.verdict][0], size=12, anchor="end"))
    return [*marks, *_interval(row, scale, top + deep + 11)], deep + 24


def _interval(row: Difference, scale: Scale, y: float) -> list[Mark]:
    role, shape, hollow = _LOOK[row.verdict]
    marks: list[Mark] = []
    if row.low is not None and row.high is not None:
        a, b = scale(row.low), scale(row.high)
        marks += [line(a, y, b, y, role, width=2.4), *(line(x, y - 5, x, y + 5, role, width=1.6) for x in (a, b))]
    return [*marks, point(scale(row.value), y, shape, role, hollow=hollow)]
