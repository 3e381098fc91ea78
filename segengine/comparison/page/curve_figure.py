"""Learning curves: validation score and training loss by epoch, the mean over seeds in the band of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from segengine.comparison.courses import Course
from segengine.comparison.judge import Judged
from segengine.comparison.measures import OF_COUNTS
from segengine.comparison.table import named, numeric, table_of
from segengine.figures.axes import below, beside, legend
from segengine.figures.figure import HALF, Figure
from segengine.figures.palette import dash, series
from segengine.figures.scales import Scale, scale_of
from segengine.figures.svg import Drawing, Mark, area, group, mark, point, polyline, text

Values = dict[int, tuple[float, ...]]
MOST = 12


def curve_figures(judged: Judged) -> list[Figure]:
    """Of the validation score and of the training loss, each where any run has it; of the MOST best variants."""
    shown = [i for i in judged.ranked[:MOST] if judged.courses[i].score or judged.courses[i].loss]
    kinds: list[tuple[str, str, Callable[[Course], Values]]] = [
        ("curve-score", f"Validation mean {OF_COUNTS[judged.curve_metric].label}", lambda course: course.score),
        ("curve-loss", "Training loss", lambda course: course.loss),
    ]
    return [_figure(judged, shown, *kind) for kind in kinds if any(kind[2](judged.courses[i]) for i in shown)]


def _figure(judged: Judged, shown: Sequence[int], name: str, title: str, of: Callable[[Course], Values]) -> Figure:
    series_of = {i: of(judged.courses[i]) for i in shown if of(judged.courses[i])}
    several = any(len(values) > 1 for each in series_of.values() for values in each.values())
    ends = "; ".join(
        f"{judged.names[i]} {_mean(each[max(each)]):.3f} in epoch {max(each)}"
        for i, each in list(series_of.items())[:8]
    )
    band = " Lines are means over runs (seeds), bands reach from the lowest to the highest." if several else ""
    rows = [
        [named(judged.names[i]), numeric(epoch, str(epoch)), numeric(_mean(values), f"{_mean(values):.4f}"),
         numeric(min(values), f"{min(values):.4f}"), numeric(max(values), f"{max(values):.4f}"), numeric(len(values), str(len(values)))]
        for i, each in series_of.items()
        for epoch, values in _thinned(each).items()
    ]  # fmt: skip
    table = table_of(name, f"{title} by epoch", ("variant", "epoch", "mean", "lowest", "highest", "runs"), rows)
    draw = _drawing(judged.names, series_of, title)
    return Figure(name, f"{title} by epoch", f"{title} by epoch.{band} At the end: {ends}.", draw, table, HALF)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _thinned(each: Values, most: int = 25) -> Values:
    """At most about `most` epochs for a table, the last among them."""
    step = max(1, -(-len(each) // most))
    kept = list(each)[::-step]
    return {epoch: each[epoch] for epoch in reversed(kept)}


def _drawing(names: Sequence[str], series_of: dict[int, Values], title: str) -> Callable[[float], Drawing]:
    values = [x for each in series_of.values() for of in each.values() for x in of]
    epochs = [float(epoch) for each in series_of.values() for epoch in each]

    def draw(width: float) -> Drawing:
        left, right, top, bottom = 50.0, width - 12, 28.0, 256.0
        across = scale_of([1.0, *epochs], left, right, room=0.02)
        up = scale_of(values, bottom, top)
        marks = [
            text(4, 14, title, role="muted"),
            *beside(up, left, right, most=5),
            *below(across, top, bottom, "epoch", whole=True),
        ]
        for i, each in series_of.items():
            marks.append(_series(names[i], i, each, across, up))
        under, height = legend([names[i] for i in series_of], list(series_of), 8, bottom + 48, width - 16)
        return Drawing(width, bottom + 52 + height, (*marks, *under))

    return draw


def _series(name: str, i: int, each: Values, across: Scale, up: Scale) -> Mark:
    band = [(across(e), up(max(v))) for e, v in each.items()] + [
        (across(e), up(min(v))) for e, v in reversed(each.items())
    ]
    middle = [(across(e), up(_mean(v))) for e, v in each.items()]
    drawn = [area(band, series(i))] if any(len(v) > 1 for v in each.values()) else []
    dots = [point(x, y, i, series(i), radius=3.2) for x, y in middle] if len(middle) <= 15 else []
    return group(mark("title", name), *drawn, polyline(middle, series(i), 2, dash(i)), *dots)
