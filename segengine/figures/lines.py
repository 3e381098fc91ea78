"""Line charts: one or more panels with a common horizontal axis, with bands, a marked position and a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from segengine.figures.axes import SMALL, below, beside, legend
from segengine.figures.palette import dash, series
from segengine.figures.scales import Scale, scale_of
from segengine.figures.svg import Drawing, Mark, area, fitting, group, point, polyline, rect, text, text_width

T = TypeVar("T")
DOTTED = 15
"""Maximum number of points of a series that is drawn with markers."""


@dataclass(frozen=True)
class Line:
    """One series.

    Attributes:
        points: (x, y) with ascending x; undefined values are omitted.
        place: index in the palette.
        band: (low, high) per point, if the series has a band.
    """

    name: str
    points: Sequence[tuple[float, float]]
    place: int
    band: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Panel:
    """Lines with a common vertical axis.

    Attributes:
        low, high: limits of the axis; None: derived from the lines.
        height: in drawing units.
        swatch: colour shown before the title.
        note: text at the right end of the title's line.
    """

    title: str
    lines: Sequence[Line]
    low: float | None = None
    high: float | None = None
    height: float = 228
    logarithmic: bool = False
    swatch: str | None = None
    note: str = ""


@dataclass(frozen=True)
class LineChart:
    """Panels below each other, or in a grid with one common legend.

    Attributes:
        across: title of the horizontal axis.
        columns: number of columns on wide and on narrow screens.
        marked: a position on the horizontal axis and its label.
        whole: whether the horizontal axis has integer ticks only.
        logarithmic: whether the horizontal axis is logarithmic.
    """

    panels: Sequence[Panel]
    across: str
    columns: tuple[int, int] = (1, 1)
    marked: tuple[float, str] | None = None
    whole: bool = True
    logarithmic: bool = False

    def draw(self, width: float) -> Drawing:
        """The chart, `width` units wide."""
        columns = self.columns[0] if width >= 600 else self.columns[1]
        several, gap = max(self.columns) > 1, 12.0
        marks: list[Mark] = []
        y = 4.0
        if several:  # one legend for all panels
            named = {line.name: line.place for panel in self.panels for line in panel.lines}
            drawn, high = legend(list(named), list(named.values()), 4, y, width - 8)
            marks, y = [*drawn], y + high + 10
        each = (width - gap * (columns - 1)) / columns
        count = len(self.panels)
        for start in range(0, count, columns):
            deepest = y
            for place in range(start, min(start + columns, count)):
                left = (place - start) * (each + gap)
                last = place + columns >= count  # the lowest panel of its column
                drawn, bottom = self._panel(self.panels[place], left, y, each, last=last, own_legend=not several)
                marks += drawn
                deepest = max(deepest, bottom)
            y = deepest + 10
        return Drawing(width, y, tuple(marks))

    def _panel(
        self, panel: Panel, left: float, top: float, width: float, *, last: bool, own_legend: bool
    ) -> tuple[list[Mark], float]:
        marks, top = _heading(panel, left, top, width)
        if own_legend and len(panel.lines) > 1:
            drawn, high = legend(
                [line.name for line in panel.lines], [line.place for line in panel.lines], left + 8, top - 4, width - 16
            )
            marks, top = [*marks, *drawn], top + high
        start, end, top = left + (50 if own_legend else 34), left + width - 10, top + 6
        bottom = top + panel.height
        across = self._across(start, end)
        up = _upward(panel, bottom, top)
        most = 6 if width > 300 else 4
        marks += beside(up, start, end, most=5 if panel.height > 120 else 4 if own_legend else 2)
        marks += below(across, top, bottom, self.across, most=most, whole=self.whole, labelled=last)
        if self.marked is not None:
            marks += _mark(*self.marked, across, top, bottom, named=own_legend and panel is self.panels[0])
        for line in panel.lines:
            marks.append(_series(line, across, up, dotted=len(line.points) <= (DOTTED if panel.height > 120 else 3)))
        if not any(line.points for line in panel.lines):
            marks.append(text((start + end) / 2, (top + bottom) / 2, "no value", role="muted", anchor="middle"))
        return marks, bottom + (42 if last else 6)

    def _across(self, start: float, end: float) -> Scale:
        places = [x for panel in self.panels for line in panel.lines for x, _ in line.points]
        if self.whole:
            low, high = min(places, default=1.0), max(places, default=1.0)
            room = 0.5 if low == high else 0.02 * (high - low)
            return Scale(low - room, high + room, start, end)
        return scale_of(places, start, end, room=0.0, logarithmic=self.logarithmic)


def _heading(panel: Panel, left: float, top: float, width: float) -> tuple[list[Mark], float]:
    marks, start = [], left + 4
    if panel.swatch:
        marks.append(rect(start, top + 5, 11, 11, panel.swatch, rx=2, stroke="muted", stroke_width=0.6))
        start += 17
    room = left + width - start - (text_width(panel.note, SMALL, bold=True) + 12 if panel.note else 0)
    marks.append(text(start, top + 15, fitting(panel.title, 12.5, room, bold=True), size=12.5, bold=True))
    if panel.note:
        marks.append(text(left + width - 10, top + 15, panel.note, size=SMALL, bold=True, anchor="end"))
    return marks, top + 22


def _upward(panel: Panel, bottom: float, top: float) -> Scale:
    ends = [v for line in panel.lines for pair in line.band for v in pair] + [
        y for line in panel.lines for _, y in line.points
    ]
    if panel.logarithmic:
        return scale_of(ends, bottom, top, logarithmic=True)
    found = scale_of(ends, bottom, top)
    low = found.low if panel.low is None else panel.low
    high = found.high if panel.high is None else panel.high
    return Scale(low, high if high > low else low + 1, bottom, top)


def _mark(x: float, name: str, across: Scale, top: float, bottom: float, *, named: bool) -> list[Mark]:
    at = across(x)
    marks = [polyline([(at, top), (at, bottom)], "muted", 1.2, "2 3")]
    if named:
        right = at > (across.start + across.end) / 2
        place = at - 6 if right else at + 6
        marks.append(text(place, top + 12, name, role="muted", size=SMALL, anchor="end" if right else None, halo=True))
    return marks


def _series(line: Line, across: Scale, up: Scale, *, dotted: bool) -> Mark:
    role = series(line.place)
    middle = [(across(x), up(y)) for x, y in line.points]
    drawn = []
    if line.band:
        high = [(across(x), up(ends[1])) for (x, _), ends in zip(line.points, line.band, strict=True)]
        low = [(across(x), up(ends[0])) for (x, _), ends in zip(line.points, line.band, strict=True)]
        drawn.append(area([*high, *reversed(low)], role))
    dots = [point(x, y, line.place, role, radius=3.2) for x, y in middle] if dotted else []
    return group(*drawn, polyline(middle, role, 2, dash(line.place)), *dots, about=line.name)


def thinned(rows: Sequence[T], most: int = 25) -> tuple[T, ...]:
    """Evenly spaced rows, about `most` of them, including the last one."""
    step = max(1, math.ceil(len(rows) / most))
    return tuple(reversed(rows[::-step]))
