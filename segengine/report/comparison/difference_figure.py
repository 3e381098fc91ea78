"""Paired differences with their intervals: one line a pair, around zero and the margin of practical equality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from segengine.compare.differences import Differences, PairDifference
from segengine.compare.measures import Measure
from segengine.compare.verdict import WORDS, word
from segengine.compare.words import points
from segengine.report.comparison.axes import below
from segengine.report.comparison.figure import Figure
from segengine.report.comparison.scales import Scale, scale_of
from segengine.report.comparison.svg import Drawing, Mark, fitting, group, line, mark, point, rect, text, text_width
from segengine.report.comparison.tables import difference_table

MOST = 40
_LOOK = {  # verdict: role, shape, hollow
    "better": ("better", 0, False), "worse": ("worse", 0, False), "practically equal": ("equal", 1, False),
    "not distinguishable": ("muted", 0, True), "not tested": ("muted", 2, True),
}  # fmt: skip


def difference_figures(
    found: Differences, means: Sequence[PairDifference], by_class: Sequence[PairDifference]
) -> list[Figure]:
    """Of the means, whose numbers the page's own table holds, and of the classes; at most MOST rows each."""
    figures = []
    if rows := _defined(means):
        title = f"Differences of mean {word(found.metric, found.measure)}, {WORDS[found.kind]}"
        figures.append(Figure("differences", title, _described(found, rows), _drawing(found, [("", rows)])))
    if rows := _defined(by_class):
        pairs = {f"{row.first} − {row.second}": [r for r in rows if _pair(r) == _pair(row)] for row in rows}
        title = f"Differences of {word(found.metric, found.measure)} by class, {WORDS[found.kind]}"
        table = difference_table(found, by_class, "differences-by-class")
        drawing = _drawing(found, list(pairs.items()))
        figures.append(Figure("differences-by-class", title, _described(found, rows), drawing, table))
    return figures


def _defined(rows: Sequence[PairDifference]) -> list[PairDifference]:
    return [row for row in rows if row.difference is not None][:MOST]


def _pair(row: PairDifference) -> tuple[str, str]:
    return row.first, row.second


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
    widest = max(text_width(_name(row, short=bool(head)), 13) for head, rows in parts for row in rows)

    def draw(width: float) -> Drawing:
        beside = width >= 600
        left, right = (min(max(widest + 20, 150.0), width * 0.4), width - 190) if beside else (12.0, width - 12)
        scale, high = scale_of(ends, left, right), 28.0 if beside else 46.0
        drawn: list[Mark] = []
        y = top = 8.0
        for head, rows in parts:
            if head:
                drawn.append(text(4, y + 19, fitting(head, 13, width - 8), size=13, bold=True, halo=True))
                y += 28
            for row in rows:
                drawn.append(
                    _row(
                        row,
                        scale,
                        (y, high),
                        width,
                        measure=found.measure,
                        name=_name(row, short=bool(head)),
                        beside=beside,
                    )
                )
                y += high
        frame = [
            _margin(scale, margin, top, y),
            *below(scale, top, y, f"{found.measure.unit} of difference; {side} of 0 the first is better"),
        ]
        return Drawing(width, y + 46, (*frame, line(scale(0), top, scale(0), y, "ink", width=1.2), *drawn))

    return draw


def _margin(scale: Scale, margin: float, top: float, bottom: float) -> Mark:
    low, high = (min(max(scale(x), scale.start), scale.end) for x in (-margin, margin))
    return rect(low, top, high - low, bottom - top, "margin")


def _row(
    row: PairDifference,
    scale: Scale,
    at: tuple[float, float],
    width: float,
    *,
    measure: Measure,
    name: str,
    beside: bool,
) -> Mark:
    """`at`: the row's top and height."""
    role, shape, hollow = _LOOK[row.verdict]
    top, high = at
    y = top + high / 2 if beside else top + high - 14
    assert row.difference is not None
    said = f"{points(row.difference, measure)}  {row.verdict}"
    if beside:
        left = text(scale.start - 14, y + 4, fitting(name, 13, scale.start - 16), size=13, anchor="end")
        marks = [left, text(scale.end + 14, y + 4, said, role=role, size=12.5)]
    else:
        room = width - text_width(said, 12) - 16
        marks = [
            text(4, top + 15, fitting(name, 12.5, room), size=12.5, halo=True),
            text(width - 4, top + 15, said, role=role, size=12, anchor="end", halo=True),
        ]
    if row.low is not None and row.high is not None:
        a, b = scale(measure.factor * row.low), scale(measure.factor * row.high)
        marks += [line(a, y, b, y, role, width=2.4), *(line(x, y - 5, x, y + 5, role, width=1.6) for x in (a, b))]
    marks.append(point(scale(measure.factor * row.difference), y, shape, role, hollow=hollow))
    return group(mark("title", f"{_name(row)}: {said}"), *marks)
