"""Scatter plot of score against cost with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from segengine.figures.axes import SMALL, below, beside
from segengine.figures.palette import series
from segengine.figures.scales import Scale, scale_of
from segengine.figures.svg import (
    Drawing,
    Mark,
    Place,
    fitting,
    group,
    line,
    mark,
    point,
    polyline,
    printable,
    text,
    text_width,
)

_LABELLED = 12  # maximum number of points that are labelled with their names
_LONGEST = 150.0  # maximum width of a label, in drawing units


@dataclass(frozen=True)
class Point:
    """One variant.

    Attributes:
        place: index in the palette.
        interval: ends of the score's confidence interval, if there is one.
        on_front: whether the variant is on the Pareto front.
        about: lines of the tooltip.
    """

    name: str
    place: int
    cost: float
    score: float
    interval: tuple[float, float] | None
    on_front: bool
    about: Sequence[str]


@dataclass(frozen=True)
class Scatter:
    """Points with axis titles; `lower_is_better` refers to the cost (the horizontal axis)."""

    points: Sequence[Point]
    across: str
    up: str
    lower_is_better: bool

    def draw(self, width: float) -> Drawing:
        """The chart, `width` units wide; the cost axis is logarithmic if costs span more than a factor of 20."""
        high, left, right, top, bottom = 330.0, 52.0, width - 16, 30.0, 284.0
        costs = [p.cost for p in self.points]
        many = min(costs) > 0 and max(costs) > 20 * min(costs)
        across = scale_of(costs, left, right, room=0.14, logarithmic=many)
        up = scale_of([v for p in self.points for v in (p.score, *(p.interval or ()))], bottom, top, room=0.08)
        title = f"{self.across}{' (logarithmic)' if many else ''}; better {'←' if self.lower_is_better else '→'}"
        marks = [
            text(4, 14, self.up, role="muted"),
            *beside(up, left, right, most=5),
            *below(across, top, bottom, fitting(title, SMALL, right - left), most=5),
            *self._front(across, up),
            *(_drawn(p, across, up) for p in self.points),
        ]
        if len(self.points) <= _LABELLED:
            marks += _labels(self.points, across, up)
        return Drawing(width, high, tuple(marks))

    def _front(self, across: Scale, up: Scale) -> list[Mark]:
        """The Pareto front as a step line: the best score among the variants up to each cost."""
        on = [(across(x), up(y)) for x, y in sorted((p.cost, p.score) for p in self.points if p.on_front)]
        if len(on) < 2:
            return []
        corners = [on[0]]
        for (x0, y0), (x1, y1) in pairwise(on):
            corners += [(x1, y0) if self.lower_is_better else (x0, y1), (x1, y1)]
        return [polyline(corners, "muted", 1.6, "5 4")]


def _drawn(p: Point, across: Scale, up: Scale) -> Mark:
    x, y = across(p.cost), up(p.score)
    drawn = [line(x, up(p.interval[0]), x, up(p.interval[1]), series(p.place), width=1.4)] if p.interval else []
    hit = mark("circle", cx=x, cy=y, r=14, fill="none", pointer_events="all")
    marker = point(x, y, p.place, series(p.place), radius=6, hollow=not p.on_front)
    lines = [printable(line_) for line_ in p.about]
    return group(
        *drawn,
        hit,
        marker,
        class_="point",
        tabindex="0",
        role="img",
        aria_label="; ".join(lines),
        data_tip="\n".join(lines),
    )


def _labels(points: Sequence[Point], across: Scale, up: Scale) -> list[Mark]:
    """Names beside their points, each at the candidate position with the least overlap."""
    marks = []
    taken = []  # left, right, top, bottom, weight
    for p in points:
        x, y, *ends = across(p.cost), up(p.score), *(up(end) for end in p.interval or ())
        taken += [(x - 8, x + 8, y - 8, y + 8, 3.0), (x - 2, x + 2, min(ends, default=y), max(ends, default=y), 1.0)]
    for p in sorted(points, key=lambda p: -p.score):
        name = fitting(p.name, SMALL, _LONGEST)
        wide, x, y = text_width(name, SMALL), across(p.cost), up(p.score)

        def cost(place: Place, wide: float = wide, x: float = x, y: float = y) -> tuple[float, float, float]:
            start, lower = place
            on = sum(
                weight
                for a, b, c, d, weight in taken
                if a < start + wide and b > start and c < lower + 6 and d > lower - 6
            )
            outside = 10.0 * (start < across.start - 40 or start + wide > across.end + 12)
            return on + outside + abs(lower - y) / 60 + 0.1 * (start < x), start, lower  # the right side is preferred

        choices = [(start, y + dy) for start in (x + 11, x - 11 - wide) for dy in (0, -15, 15, -30, 30, -45, 45)]
        start, lower = min(choices, key=cost)
        taken.append((start, start + wide, lower - 6, lower + 6, 3.0))
        marks.append(text(start, lower + 4, name, size=SMALL, halo=True))
    return marks
