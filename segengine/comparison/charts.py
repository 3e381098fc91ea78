"""Figures of a judged comparison: one adapter per kind of chart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from segengine.comparison.costs import Cost
from segengine.comparison.courses import Course
from segengine.comparison.judge import Judged
from segengine.comparison.measures import HOW, KIND_NAMES, OF_COUNTS
from segengine.comparison.pairs import points
from segengine.comparison.statistics.differences import Differences, PairDifference
from segengine.comparison.table import Table, named, numeric, table_of
from segengine.figures.confusion import confusion_figure
from segengine.figures.figure import HALF, Figure, Numbers
from segengine.figures.intervals import Difference, DifferenceChart
from segengine.figures.lines import Line, LineChart, Panel, thinned
from segengine.figures.ranks import Rank, RankChart
from segengine.figures.scales import shown
from segengine.figures.scatter import Point, Scatter
from segengine.figures.score_map import score_map

MOST_PAIRS, MOST_RANKS, MOST_CURVES, MOST_MATRICES = 40, 30, 12, 6
SAID = 8
"""Maximum number of variants or pairs in a text description."""
Values = dict[int, tuple[float, ...]]


def charts(judged: Judged, tables: dict[str, Table]) -> dict[str, tuple[Figure, ...]]:
    """Figures by subject; `tables` are the tables that the page shows below figures, by name.

    Raises:
        RunError: a file of a run is damaged.
    """
    found = judged.found[0] if judged.found else None
    return {
        "differences": tuple(difference_figures(judged, found, tables.get("differences-by-class"))) if found else (),
        "ranking": (rank_figure(judged, found, tables["ranking"]),) if found and found.ranking else (),
        "costs": tuple(cost_figures(judged)),
        "classes": (class_figure(judged, tables[f"classes-{judged.kind.replace('_', '-')}"]),),
        "curves": tuple(curve_figures(judged)),
        "confusion": tuple(confusion_figures(judged)),
    }


def difference_figures(judged: Judged, found: Differences, table: Table | None) -> list[Figure]:
    """Differences of means, whose values are in a table of the page, and differences by class."""
    of = f"{found.measure.label}", KIND_NAMES[found.kind]
    parts = (
        ("differences", f"Differences of mean {of[0]}, {of[1]}", judged.pairs(found), None),
        ("differences-by-class", f"Differences of {of[0]} by class, {of[1]}", judged.class_pairs(found), table),
    )
    figures = []
    for name, title, rows, behind in parts:
        drawn = [_difference(row, found) for row in rows if row.difference is not None][:MOST_PAIRS]
        if drawn:
            unit, margin = found.measure.unit, found.measure.factor * found.choices.margin
            side = "right" if found.measure.sign > 0 else "left"
            chart = DifferenceChart(drawn, margin, f"{unit} of difference; {side} of 0 the first is better")
            figures.append(Figure(name, title, _differences_in_words(drawn, found), chart.draw, behind))
    return figures


def _difference(row: PairDifference, found: Differences) -> Difference:
    value, low, high = (None if x is None else found.measure.factor * x for x in (row.difference, row.low, row.high))
    assert value is not None
    said = f"{points(row.difference, found.measure)}  {row.verdict}"
    return Difference(row.first, row.second, value, low, high, row.verdict, said, row.score or "")


def _differences_in_words(drawn: Sequence[Difference], found: Differences) -> str:
    def number(value: float) -> str:
        return points(value / found.measure.factor, found.measure)

    each = "; ".join(
        f"{d.pair}{f', {d.score}' if d.score else ''} {number(d.value)}"
        + (f", {number(d.low)} to {number(d.high)}" if d.low is not None and d.high is not None else "")
        + f", {d.verdict}"
        for d in drawn[:SAID]
    )
    more = f"; and {len(drawn) - SAID} more in the table" if len(drawn) > SAID else ""
    unit, level = found.measure.unit, f"{100 * found.choices.confidence:g} % intervals"
    margin = f"{found.measure.factor * found.choices.margin:g} {unit}"
    return f"Differences in {unit} with {level}, around zero and a margin of ±{margin}: {each}{more}."


def rank_figure(judged: Judged, found: Differences, table: Table) -> Figure:
    """How often each variant was first, and its ranks."""
    ranking, names = found.ranking, judged.names
    assert ranking is not None
    rows = []
    for i in judged.ranked[:MOST_RANKS]:
        low, high = ranking.ranks[i]
        span = f"rank {low:g}" if low == high else f"ranks {low:g} to {high:g}"
        about = (
            f"{names[i]} first in {100 * ranking.best[i]:.0f} %, mean rank {ranking.mean_rank[i]:.1f}, {span} in 95 %"
        )
        rows.append(Rank(names[i], i, ranking.best[i], ranking.mean_rank[i], low, high, about))
    more = f"; {len(names) - SAID} more in the table" if len(names) > SAID else ""
    described = (
        f"Over {judged.choices.resamples:,} draws: {'; '.join(row.about for row in rows[:SAID])}{more}. "
        f"Kendall's tau-b with the order of the mean scores: {ranking.stability:.2f}."
    )
    return Figure("ranking", "How firm the order is", described, RankChart(rows, len(names)).draw, table)


def cost_figures(judged: Judged) -> list[Figure]:
    """The mean score against each available cost."""
    return [
        _cost_figure(judged, cost)
        for cost in judged.costs
        if any(v.value is not None and v.score is not None for v in cost.variants)
    ]


def _cost_figure(judged: Judged, cost: Cost) -> Figure:
    score, measure, intervals = f"mean {judged.word}", judged.measure, judged.intervals[judged.kind]
    drawn = []
    for i, v in enumerate(cost.variants):
        if v.value is None or v.score is None:
            continue
        interval = intervals[i].mean
        about = [v.variant, f"{score} {v.score:.3f}"]
        about += [f"interval {interval[0]:.3f} to {interval[1]:.3f}"] if interval else []
        about.append(f"{cost.label} {amount(cost, v.value)}")
        about += [f"{amount(cost, v.minimum)} to {amount(cost, v.maximum)} over runs"] if v.minimum != v.maximum else []
        about += ["on the Pareto front"] if v.on_front else []
        drawn.append(Point(v.variant, i, v.value, v.score, interval, v.on_front, about))
    better = "fewer" if not cost.unit else "less" if cost.lower_is_better else "more"
    each = "; ".join(
        f"{p.name}: {amount(cost, p.cost)}, {score} {p.score:.3f}{' (on the front)' if p.on_front else ''}"
        for p in drawn
    )
    how = (
        f" No front: {cost.problem}." if cost.problem else f" Measured with {cost.condition}." if cost.condition else ""
    )
    rows = [
        [named(v.variant), numeric(v.value, amount(cost, v.value)), numeric(v.score, "–" if v.score is None else f"{v.score:.3f}"),
         named("yes" if v.on_front else "no")]
        for v in cost.variants
    ]  # fmt: skip
    header = ("variant", cost.label, score, "on the front")
    table = table_of(f"cost-{cost.key}", f"{cost.label} and {score}", header, rows, text_columns=(0, 3))
    up = f"{score}{measure.in_unit} {'↑' if measure.sign > 0 else '↓'}"
    chart = Scatter(drawn, f"{cost.label}{f', {cost.unit}' if cost.unit else ''}", up, cost.lower_is_better)
    described = f"{score} against {cost.label}, {better} is better. {each}.{how}"
    return Figure(
        f"cost-{cost.key}", f"{score} against {cost.label}", described, chart.draw, table, HALF, interactive=True
    )


def amount(cost: Cost, value: float | None) -> str:
    """A cost with its unit."""
    if value is None:
        return "–"
    return f"{shown(float(f'{value:.3g}'))}{f' {cost.unit}' if cost.unit else ''}"


def class_figure(judged: Judged, table: Table) -> Figure:
    """Scores of classes by variant, best variant first; `table` has the values."""
    classes, tables = judged.comparison.classes, [judged.tables[i] for i in judged.ranked]
    rows = [
        (facts.name + ("" if facts.averaged else " *"), [t.classes[k].mean for t in tables])
        for k, facts in enumerate(classes)
    ]
    rows.append((f"mean {judged.word}", [t.mean.mean for t in tables]))
    title = f"{judged.word}{judged.measure.in_unit} by class, {HOW[judged.kind]}"
    starred = any(not facts.averaged for facts in classes)
    names = [judged.names[i] for i in judged.ranked]
    return score_map(title, rows, names, sign=judged.measure.sign, starred=starred, table=table)


def curve_figures(judged: Judged) -> list[Figure]:
    """Validation score and training loss of the best variants by epoch, each if any run has it."""
    kinds: list[tuple[str, str, Callable[[Course], Values]]] = [
        ("curve-score", f"Validation mean {OF_COUNTS[judged.curve_metric].label}", lambda course: course.score),
        ("curve-loss", "Training loss", lambda course: course.loss),
    ]
    figures = []
    for name, title, of in kinds:
        series_of = {i: values for i in judged.ranked[:MOST_CURVES] if (values := of(judged.courses[i]))}
        if series_of:
            figures.append(_curve_figure(judged.names, name, title, series_of))
    return figures


def _curve_figure(names: Sequence[str], name: str, title: str, series_of: dict[int, Values]) -> Figure:
    several = any(len(values) > 1 for each in series_of.values() for values in each.values())
    lines = [
        Line(names[i], [(float(epoch), _mean(v)) for epoch, v in each.items()], i,
             [(min(v), max(v)) for v in each.values()] if several else ())
        for i, each in series_of.items()
    ]  # fmt: skip
    ends = "; ".join(f"{line.name} {line.points[-1][1]:.3f} in epoch {line.points[-1][0]:g}" for line in lines[:SAID])
    band = " Lines are means over runs (seeds), bands reach from the lowest to the highest." if several else ""
    rows = []
    for i, each in series_of.items():
        for epoch in thinned(list(each)):
            v = each[epoch]
            numbers = [numeric(x, f"{x:.4f}") for x in (_mean(v), min(v), max(v))]
            rows.append([named(names[i]), numeric(epoch, str(epoch)), *numbers, numeric(len(v), str(len(v)))])
    table = table_of(name, f"{title} by epoch", ("variant", "epoch", "mean", "lowest", "highest", "runs"), rows)
    chart = LineChart([Panel(title, lines)], "epoch")
    return Figure(name, f"{title} by epoch", f"{title} by epoch.{band} At the end: {ends}.", chart.draw, table, HALF)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def confusion_figures(judged: Judged) -> list[Figure]:
    """Confusion matrices of the best variants, summed over images and seeds; none for metrics that are not computed from counts."""
    if judged.confusions is None:
        return []
    figures = []
    for place, i in enumerate(judged.ranked[:MOST_MATRICES], start=1):
        name, title = f"confusion-{place}", f"Confusion of {judged.names[i]}"
        figure = confusion_figure(name, title, judged.confusions[i], judged.classes, heading=judged.names[i])
        assert isinstance(figure.table, Numbers)
        figures.append(replace(figure, table=_behind(name, title, figure.table)))
    return figures


def _behind(name: str, title: str, numbers: Numbers) -> Table:
    rows = [
        [named(text) if k in numbers.words else numeric(_number(text), text) for k, text in enumerate(row)]
        for row in numbers.rows
    ]
    caption = f"{title}: {numbers.caption[0].lower()}{numbers.caption[1:]}"
    return table_of(name, caption, numbers.header, rows, text_columns=numbers.words)


def _number(text: str) -> float | None:
    """The number in a text, for sorting."""
    return None if text == "–" else float(text.removesuffix(" %").replace(",", ""))
