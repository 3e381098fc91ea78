"""Score against each cost, with the Pareto front: which variants are worth what they cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from segengine.comparison.costs import Cost
from segengine.comparison.measures import SHARE, Measure
from segengine.comparison.statistics.score_intervals import Interval
from segengine.comparison.table import named, numeric, table_of
from segengine.figures.axes import SMALL, below, beside
from segengine.figures.figure import HALF, Figure
from segengine.figures.palette import series
from segengine.figures.scales import Scale, scale_of, shown
from segengine.figures.svg import (
    Drawing,
    Mark,
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

_LABELLED = 12  # up to so many points carry their names
_LONGEST = 150.0


def cost_figures(
    costs: Sequence[Cost], score: str, intervals: Sequence[Interval | None], measure: Measure = SHARE
) -> list[Figure]:
    """One figure a cost; `score` is what the vertical axis shows, `intervals` are the variants' own."""
    return [_figure(cost, score, intervals, measure) for cost in costs if sum(_placed(v) for v in _points(cost)) > 0]


def _points(cost: Cost) -> list[tuple[float | None, float | None]]:
    return [(v.value, v.score) for v in cost.variants]


def _placed(values: tuple[float | None, float | None]) -> bool:
    return None not in values


def _figure(cost: Cost, score: str, intervals: Sequence[Interval | None], measure: Measure) -> Figure:
    better = "fewer" if not cost.unit else "less" if cost.lower_is_better else "more"
    each = "; ".join(
        f"{v.variant}: {amount(cost, v.value)}, {score} {v.score:.3f}{' (on the front)' if v.on_front else ''}"
        for v in cost.variants
        if v.value is not None and v.score is not None
    )
    described = f"{score} against {cost.label}, {better} is better. {each}. {_about(cost)}"
    rows = [
        [named(v.variant), numeric(v.value, amount(cost, v.value)), numeric(v.score, "–" if v.score is None else f"{v.score:.3f}"),
         named("yes" if v.on_front else "no")]
        for v in cost.variants
    ]  # fmt: skip
    table = table_of(f"cost-{cost.key}", f"{cost.label} and {score}", ("variant", cost.label, score, "on the front"), rows,
                     text_columns=(0, 3))  # fmt: skip
    title = f"{score} against {cost.label}"
    draw = _drawing(cost, score, intervals, measure)
    return Figure(f"cost-{cost.key}", title, described, draw, table, HALF, interactive=True)


def _about(cost: Cost) -> str:
    if cost.problem:
        return f"No front: {cost.problem}."
    return f"Measured with {cost.condition}." if cost.condition else ""


def amount(cost: Cost, value: float | None) -> str:
    """A cost with its unit."""
    if value is None:
        return "–"
    unit = f" {cost.unit}" if cost.unit else ""
    return f"{shown(float(f'{value:.3g}'))}{unit}"


def _drawing(
    cost: Cost, score: str, intervals: Sequence[Interval | None], measure: Measure
) -> Callable[[float], Drawing]:
    known = [(i, v.value, v.score) for i, v in enumerate(cost.variants) if v.value is not None and v.score is not None]
    values, scores = [x for _, x, _ in known], [y for _, _, y in known]
    ends = [*scores, *(end for i, _, _ in known for end in intervals[i] or ())]

    def draw(width: float) -> Drawing:
        high, left, right, top, bottom = 330.0, 52.0, width - 16, 30.0, 284.0
        many = min(values) > 0 and max(values) > 20 * min(values)
        across = scale_of(values, left, right, room=0.14, logarithmic=many)
        up = scale_of(ends, bottom, top, room=0.08)
        unit = f", {cost.unit}" if cost.unit else ""
        direction = "←" if cost.lower_is_better else "→"
        title = f"{cost.label}{unit}{' (logarithmic)' if many else ''}; better {direction}"
        marks = [
            text(4, 14, f"{score}{measure.in_unit} {'↑' if measure.sign > 0 else '↓'}", role="muted"),
            *beside(up, left, right, most=5),
            *below(across, top, bottom, title, most=5),
        ]
        marks += _front(cost, across, up)
        for i, _, _ in known:
            marks.append(_point(cost, i, score, across=across, up=up, interval=intervals[i]))
        if len(known) <= _LABELLED:
            spans = [[up(end) for end in intervals[i] or (y, y)] for i, _, y in known]
            places = [(i, across(x), up(y), min(span), max(span)) for (i, x, y), span in zip(known, spans, strict=True)]
            marks += _labels(cost, places, left, right)
        return Drawing(width, high, tuple(marks))

    return draw


def _front(cost: Cost, across: Scale, up: Scale) -> list[Mark]:
    """The front as steps: at this cost, no variant here scores better."""
    on = sorted((v.value, v.score) for v in cost.variants if v.on_front and v.value is not None and v.score is not None)
    if len(on) < 2:
        return []
    corners = [(across(on[0][0]), up(on[0][1]))]
    for (x0, y0), (x1, y1) in pairwise(on):
        corners += (
            [(across(x1), up(y0)), (across(x1), up(y1))]
            if cost.lower_is_better
            else [(across(x0), up(y1)), (across(x1), up(y1))]
        )
    return [polyline(corners, "muted", 1.6, "5 4")]


def _point(cost: Cost, i: int, score: str, *, across: Scale, up: Scale, interval: Interval | None) -> Mark:
    variant = cost.variants[i]
    assert variant.value is not None
    assert variant.score is not None
    x, y = across(variant.value), up(variant.score)
    said = [variant.variant, f"{score} {variant.score:.3f}"]
    drawn = []
    if interval is not None:
        said.append(f"interval {interval[0]:.3f} to {interval[1]:.3f}")
        drawn.append(line(x, up(interval[0]), x, up(interval[1]), series(i), width=1.4))
    said.append(f"{cost.label} {amount(cost, variant.value)}")
    if variant.minimum != variant.maximum:
        said.append(f"{amount(cost, variant.minimum)} to {amount(cost, variant.maximum)} over runs")
    said += ["on the Pareto front"] if variant.on_front else []
    hit = mark("circle", cx=x, cy=y, r=14, fill="none", pointer_events="all")
    marker = point(x, y, i, series(i), radius=6, hollow=not variant.on_front)
    return group(
        *drawn,
        hit,
        marker,
        class_="point",
        tabindex="0",
        role="img",
        aria_label="; ".join(said),
        data_tip="\n".join(map(printable, said)),
    )


def _labels(
    cost: Cost, places: Sequence[tuple[int, float, float, float, float]], left: float, right: float
) -> list[Mark]:
    """Names beside their points (place, x, y, top and bottom of its interval), where they lie on least else."""
    marks = []
    taken = [(x - 8, x + 8, y - 8, y + 8, 3.0) for _, x, y, _, _ in places]
    taken += [(x - 2, x + 2, top, bottom, 1.0) for _, x, _, top, bottom in places]
    for i, x, y, _, _ in sorted(places, key=lambda p: p[2]):
        name = fitting(cost.variants[i].variant, SMALL, _LONGEST)
        wide = text_width(name, SMALL)
        best = min(
            (
                sum(weight for a, b, c, d, weight in taken if a < start + wide and b > start and c < y + dy + 6 and d > y + dy - 6)
                + 10.0 * (start < left - 40 or start + wide > right + 12)
                + abs(dy) / 60
                + 0.1 * (start < x),  # rather to the right
                start,
                y + dy,
            )
            for start in (x + 11, x - 11 - wide)
            for dy in (0, -15, 15, -30, 30, -45, 45)
        )  # fmt: skip
        _, start, lower = best
        taken.append((start, start + wide, lower - 6, lower + 6, 3.0))
        marks.append(text(start, lower + 4, name, size=SMALL, halo=True))
    return marks
