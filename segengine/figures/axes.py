"""Frames of charts: grid lines, tick labels, axis titles and the legend."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.figures.palette import dash, series
from segengine.figures.scales import Scale, shown
from segengine.figures.svg import Mark, fitting, group, line, point, polyline, text, text_width

SMALL = 12.0
LEGEND_LINE = 22.0


def below(
    scale: Scale, top: float, bottom: float, title: str, *, most: int = 6, percent: bool = False, whole: bool = False,
    labelled: bool = True,
) -> list[Mark]:  # fmt: skip
    """Vertical grid lines from `top` to `bottom`; if `labelled`, with tick labels and the axis title below.

    Args:
        most: maximum number of ticks, approximately.
        percent: tick labels in percent.
        whole: ticks at integers only.
    """
    marks = []
    for tick in scale.whole_ticks(most) if whole else scale.ticks(most):
        marks.append(line(scale(tick), top, scale(tick), bottom, "grid"))
        if labelled:
            label = f"{100 * tick:.6g} %" if percent else shown(tick)
            marks.append(text(scale(tick), bottom + 17, label, role="muted", size=SMALL, anchor="middle"))
    middle = (scale.start + scale.end) / 2
    return [*marks, text(middle, bottom + 36, title, role="muted", size=SMALL, anchor="middle")] if labelled else marks


def beside(scale: Scale, left: float, right: float, *, most: int = 6) -> list[Mark]:
    """Horizontal grid lines from `left` to `right`, with tick labels to their left; about `most` of them."""
    marks = []
    for tick in scale.ticks(most):
        marks.append(line(left, scale(tick), right, scale(tick), "grid"))
        marks.append(text(left - 7, scale(tick) + 4, shown(tick), role="muted", size=SMALL, anchor="end"))
    return marks


def legend(
    names: Sequence[str], places: Sequence[int], left: float, top: float, width: float
) -> tuple[list[Mark], float]:
    """Legend entries (line, marker, name), wrapped at `width`, and the legend's height; `places` are palette indices."""
    marks: list[Mark] = []
    x, y, sample = left, top, 30.0
    for name, place in zip(names, places, strict=True):
        label = fitting(name, SMALL, width - sample - 8)
        wide = sample + 6 + text_width(label, SMALL) + 14
        if x > left and x + wide - 14 > left + width:
            x, y = left, y + LEGEND_LINE
        middle = y + LEGEND_LINE / 2
        drawn = (
            polyline([(x, middle), (x + sample, middle)], series(place), 2, dash(place)),
            point(x + sample / 2, middle, place, series(place), radius=4),
        )
        marks.append(group(*drawn, text(x + sample + 6, middle + 4, label, size=SMALL)))
        x += wide
    return marks, y + LEGEND_LINE - top if names else 0.0
