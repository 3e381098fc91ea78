"""Paired differences with their intervals: one line a pair, around zero and the margin of practical equality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from segengine.comparison.measures import KIND_NAMES, Measure
from segengine.comparison.pairs import points
from segengine.comparison.statistics.differences import Differences, PairDifference
from segengine.comparison.table import Table
from segengine.figures.axes import below
from segengine.figures.figure import Figure
from segengine.figures.scales import Scale, scale_of
from segengine.figures.svg import Drawing, Mark, fitting, group, line, mark, point, rect, text, text_width

MOST = 40
SIZE = 13.0
_LOOK = {  # verdict: role, shape, hollow
    "better": ("better", 0, False), "worse": ("worse", 0, False), "practically equal": ("equal", 1, False),
    "not distinguishable": ("muted", 0, True), "not tested": ("muted", 2, True),
}  # fmt: skip


def difference_figures(
    found: Differences, means: Sequence[PairDifference], by_class: Sequence[PairDifference], table: Table | None
) -> list[Figure]:
    """Of the means, whose numbers the page's own table holds, and of the classes; at most MOST rows each; `table` is of the classes."""
    figures = []
    if rows := _defined(means):
        title = f"Differences of mean {found.measure.label}, {KIND_NAMES[found.kind]}"
        figures.append(Figure("differences", title, _described(found, rows), _drawing(found, [("", rows)])))
    if rows := _defined(by_class):
        pairs = {_pair(row): [r for r in rows if _pair(r) == _pair(row)] for row in rows}
        title = f"Differences of {found.measure.label} by class, {KIND_NAMES[found.kind]}"
        drawing = _drawing(found, list(pairs.items()))
        figures.append(Figure("differences-by-class", title, _described(found, rows), drawing, table))
    return figures


def _defined(rows: Sequence[PairDifference]) -> list[PairDifference]:
    return [row for row in rows if row.difference is not None][:MOST]


def _pair(row: PairDifference) -> str:
    return f"{row.first} − {row.second}"


def _described(found: Differences, rows: Sequence[PairDifference]) -> str:
    each = "; ".join(
        f"{_name(row)} {points(row.difference, found.measure)}"
        + (f", {points(row.low, found.measure)} to {points(row.high, found.measure)}" if row.low is not None else "")
        + f", {row.verdict}"
        for row in rows[:8]
    )
    more = f"; and {len(rows) - 8} more in the table" if len(rows) > 8 else ""
    unit, level = found.measure.unit, f"{100 * found.choices.confidence:g} % intervals"
    return (
        f"Differences in {unit} with {level}, around zero and a margin of ±{found.measure.factor * found.choices.margin:g} {unit}: "
        f"{each}{more}."
    )


def _name(row: PairDifference, *, short: bool = False) -> str:
    if short and row.score:
        return row.score
    return f"{row.first} − {row.second}" + (f", {row.score}" if row.score else "")


def _drawing(found: Differences, parts: Sequence[tuple[str, Sequence[PairDifference]]]) -> Callable[[float], Drawing]:
    """Parts with a heading each (none if it is empty), a line for each row."""
    all_rows = [row for _, rows in parts for row in rows]
    factor, side = found.measure.factor, "right" if found.measure.sign > 0 else "left"
    values = [factor * x for row in all_rows for x in (row.difference, row.low, row.high) if x is not None]
    margin = factor * found.choices.margin
    ends = [*values, 0.0, *((-margin, margin) if margin <= 3 * max(map(abs, values)) + 1 else ())]
    widest = max(text_width(_name(row, short=bool(head)), SIZE) for head, rows in parts for row in rows)

    def draw(width: float) -> Drawing:
        beside = width >= 600
        left, right = (min(max(widest + 20, 150.0), width * 0.4), width - 190) if beside else (12.0, width - 12)
        scale = scale_of(ends, left, right)
        drawn: list[Mark] = []
        y = top = 8.0
        for head, rows in parts:
            for said in _lines(rows[0].first, rows[0].second, width - 8, bold=True) if head else ():
                drawn.append(rect(0, y, 0 if beside else width, 26, "ground"))
                drawn.append(text(4, y + 15, said, size=SIZE, bold=True, halo=True))
                y += 20
            y += 6 if head else 0
            for row in rows:
                short = bool(head)
                marks, high = (
                    _beside(row, scale, y, found.measure, short=short)
                    if beside
                    else _below(row, scale, y, found.measure, width, short=short)
                )
                drawn.append(group(mark("title", f"{_name(row)}: {_said(row, found.measure)}"), *marks))
                y += high
        frame = [
            _margin(scale, margin, top, y),
            *below(scale, top, y, f"{found.measure.unit} of difference; {side} of 0 the first is better"),
        ]
        return Drawing(width, y + 46, (*frame, line(scale(0), top, scale(0), y, "ink", width=1.2), *drawn))

    return draw


def _lines(first: str, second: str, room: float, *, bold: bool = False) -> list[str]:
    """`first − second` on one line or, where that is too wide, on two, so that neither name is lost."""
    whole = f"{first} − {second}"
    if text_width(whole, SIZE, bold=bold) <= room:
        return [fitting(whole, SIZE, room, bold=bold)]
    return [fitting(first, SIZE, room, bold=bold), f"− {fitting(second, SIZE, room - 2 * SIZE, bold=bold)}"]


def _margin(scale: Scale, margin: float, top: float, bottom: float) -> Mark:
    low, high = (min(max(scale(x), scale.start), scale.end) for x in (-margin, margin))
    return rect(low, top, high - low, bottom - top, "margin")


def _said(row: PairDifference, measure: Measure) -> str:
    return f"{points(row.difference, measure)}  {row.verdict}"


def _beside(
    row: PairDifference, scale: Scale, top: float, measure: Measure, *, short: bool
) -> tuple[list[Mark], float]:
    """Name, interval and verdict side by side, and the height that they take."""
    room = scale.start - 18
    names = [fitting(row.score, SIZE, room)] if short and row.score else _lines(row.first, row.second, room)
    high = 28.0 if len(names) == 1 else 38.0
    y = top + high / 2
    first = y + 4 - 8 * (len(names) - 1)
    marks = [text(scale.start - 14, first + 16 * k, said, size=SIZE, anchor="end") for k, said in enumerate(names)]
    marks.append(text(scale.end + 14, y + 4, _said(row, measure), role=_LOOK[row.verdict][0], size=12.5))
    return [*marks, *_interval(row, scale, y, measure)], high


def _below(
    row: PairDifference, scale: Scale, top: float, measure: Measure, width: float, *, short: bool
) -> tuple[list[Mark], float]:
    """Name and verdict above the interval, on as many lines as they need, and the height that they take."""
    said = _said(row, measure)
    beside_verdict = width - text_width(said, 12) - 16
    names = [row.score] if short and row.score else _lines(row.first, row.second, width - 8)
    lines = [fitting(name, SIZE, width - 8) for name in names]
    own_line = text_width(lines[-1], SIZE) > beside_verdict
    deep = 17.0 * (len(lines) + own_line) + 4
    marks = [rect(0, top, width, deep, "ground")]  # no grid behind the words
    marks += [text(4, top + 15 + 17 * k, each, size=SIZE) for k, each in enumerate(lines)]
    marks.append(text(width - 4, top + deep - 6, said, role=_LOOK[row.verdict][0], size=12, anchor="end"))
    return [*marks, *_interval(row, scale, top + deep + 11, measure)], deep + 24


def _interval(row: PairDifference, scale: Scale, y: float, measure: Measure) -> list[Mark]:
    role, shape, hollow = _LOOK[row.verdict]
    assert row.difference is not None
    marks: list[Mark] = []
    if row.low is not None and row.high is not None:
        a, b = scale(measure.factor * row.low), scale(measure.factor * row.high)
        marks += [line(a, y, b, y, role, width=2.4), *(line(x, y - 5, x, y + 5, role, width=1.6) for x in (a, b))]
    return [*marks, point(scale(measure.factor * row.difference), y, shape, role, hollow=hollow)]
