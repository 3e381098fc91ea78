"""All tables of a comparison, rendered by the outputs. A column added here appears in every output."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.comparison.costs import Cost
from segengine.comparison.judge import Judged
from segengine.comparison.measures import HOW, KIND_NAMES, Kind, Measure
from segengine.comparison.pairs import points, shown_p
from segengine.comparison.statistics.differences import Differences, PairDifference
from segengine.comparison.statistics.score_intervals import Interval
from segengine.comparison.summary import Spread
from segengine.comparison.table import Cell, Column, Table, interval, names, numeric
from segengine.figures.numbers import DASH, plural

_MOST_COLUMNS = 8
_HEADINGS = {
    "parameters": "parameters", "macs": "MACs per image", "latency": "latency, ms", "throughput": "images/s", "memory": "memory, MiB",
    "minutes": "minutes", "images_per_second": "images/s", "train_memory": "memory, MiB",
}  # fmt: skip
_INFERENCE = ("parameters", "macs", "latency", "throughput", "memory")
_TRAINING = ("minutes", "images_per_second", "train_memory")


def tables_of(judged: Judged) -> list[Table]:
    """All tables in display order."""
    made = [scores_table(judged), *(class_table(judged, kind) for kind in judged.kinds)]
    if judged.found:
        made += [differences_table(judged), class_differences_table(judged, judged.found[0])]
        if judged.rates is not None:
            made.append(undefined_table(judged, judged.rates))
        if judged.found[0].ranking is not None:
            made.append(ranking_table(judged))
    return [table for table in (*made, *cost_tables(judged)) if table.columns[0].cells]


def scores_table(judged: Judged) -> Table:
    """Variants, the best first: the mean of each kind, the headline's with its interval and spread over seeds."""
    comparison, measure = judged.comparison, judged.measure
    variants = [comparison.variants[i] for i in judged.ranked]
    columns: list[Column] = [
        names("variant", (variant.name for variant in variants)),
        Column("seeds", tuple(numeric(len(v.seeds), str(len(v.seeds))) for v in variants)),
    ]
    for kind in judged.kinds:
        spreads = [variant.scores[judged.metric, kind].mean for variant in variants]
        ends = [judged.intervals[kind][i].mean for i in judged.ranked]
        notes = [None] * len(ends) if kind == judged.kind else ends
        columns.append(
            Column(f"{judged.word} {KIND_NAMES[kind]}", _scores(spreads, notes, measure.sign), f"mean_{kind}")
        )
        if kind == judged.kind:
            columns.append(Column(_level(judged), tuple(map(_ends, ends)), "interval"))
            columns.append(Column("range over seeds", tuple(map(_range, spreads)), "range"))
    if rates := comparison.undefined_images:
        shown = [(*rates[variant.name],) for variant in variants]
        cells = tuple(numeric(n / of if of else None, f"{n} of {of}") for n, of in shown)
        columns.append(Column("undefined", cells, "undefined_rate"))
    over = plural(len(comparison.averaged), "class", "classes")
    caption = f"mean {judged.word} over {over}{_direction(judged)}; ± is the standard deviation over seeds"
    return Table(
        "scores", caption, tuple(columns), sorted_by=2, ascending=measure.sign < 0, notes=f"with {_level(judged)}s"
    )


def class_table(judged: Judged, kind: Kind) -> Table:
    """Scores by class with intervals: variants as rows, or classes if there are more of them."""
    comparison, sign = judged.comparison, judged.measure.sign
    variants = [comparison.variants[i].scores[judged.metric, kind].classes for i in judged.ranked]
    ends = [judged.intervals[kind][i].classes for i in judged.ranked]
    by_class = [
        _scores([spreads[k] for spreads in variants], [each[k] for each in ends], sign)
        for k in range(len(comparison.classes))
    ]
    heads = [facts.name + ("" if facts.averaged else " *") for facts in comparison.classes]
    held = [numeric(facts.images, str(facts.images)) for facts in comparison.classes]
    shown = [judged.names[i] for i in judged.ranked]
    star = "; * not in the means" if not all(facts.averaged for facts in comparison.classes) else ""
    caption = f"{judged.word} by class{judged.measure.in_unit}, {HOW[kind]}{_lower(judged)}{star}"
    notes = f"with {_level(judged)}s"
    name = f"classes-{kind.replace('_', '-')}"
    if len(heads) > _MOST_COLUMNS >= len(shown) or len(shown) <= 3:
        cells = [tuple(row[place] for row in by_class) for place in range(len(shown))]
        columns = [names("class", heads), Column("images", tuple(held))]
        return Table(name, caption, (*columns, *map(Column, shown, cells)), notes=notes)
    columns = [Column(head, (*row, count)) for head, row, count in zip(heads, by_class, held, strict=True)]
    return Table(name, caption, (names("variant", (*shown, "images with the class")), *columns), notes=notes)


def differences_table(judged: Judged) -> Table:
    """Differences of means of each kind, the headline's first, the better variant of each pair first."""
    rows = [(found, row) for found in judged.found for row in judged.pairs(found)]
    kinds = names("kind", (KIND_NAMES[found.kind] for found, _ in rows))
    columns = [
        _pair_names(rows),
        *([kinds] if len(judged.found) > 1 else []),
        *_difference_columns(judged, rows, judged.measure),
    ]
    return Table("differences", _differences_caption(judged, "mean "), tuple(columns))


def class_differences_table(judged: Judged, found: Differences) -> Table:
    """Differences by class, of the headline's kind."""
    rows = [(found, row) for row in judged.class_pairs(found)]
    columns = (
        _pair_names(rows),
        names("class", (row.score or "" for _, row in rows)),
        Column(f"{judged.case}s", tuple(numeric(row.units, str(row.units)) for _, row in rows), "units"),
        *_difference_columns(judged, rows, judged.measure),
    )
    return Table("differences-by-class", f"{_differences_caption(judged, '')}, {KIND_NAMES[found.kind]}", columns)


def undefined_table(judged: Judged, found: Differences) -> Table:
    """Differences of the rates of images in which the metric is undefined."""
    rows = [(found, row) for row in judged.pairs(found)]
    caption = f"differences in points of how often {judged.word} is undefined, the variant with the lower rate first"
    columns = (_pair_names(rows), *_difference_columns(judged, rows, found.measure))
    return Table("differences-of-undefined", caption, columns)


def ranking_table(judged: Judged) -> Table:
    """How often each variant came first, and its ranks."""
    rank = judged.found[0].ranking
    assert rank is not None
    ranked = judged.ranked
    ends = [rank.ranks[i] for i in ranked]
    columns = (
        names("variant", (judged.names[i] for i in ranked)),
        Column("came first", tuple(numeric(rank.best[i], f"{100 * rank.best[i]:.1f} %") for i in ranked)),
        Column("mean rank", tuple(numeric(rank.mean_rank[i], f"{rank.mean_rank[i]:.2f}") for i in ranked)),
        Column(
            "95 % of its ranks",
            tuple(interval(low, high, str(low) if low == high else f"{low} to {high}") for low, high in ends),
            "ranks",
        ),
    )
    return Table("ranking", "How often each variant came first over draws, and its ranks", columns)


def cost_tables(judged: Judged) -> list[Table]:
    """Costs of inference and of training per variant; medians over runs."""
    costs = {cost.key: cost for cost in judged.costs}
    inference = [costs[key] for key in _INFERENCE if key in costs]
    training = [costs[key] for key in _TRAINING if key in costs]
    made = (
        _costs(judged, "costs", "what using a network costs", inference, "latency"),
        _costs(judged, "training-costs", "what training took", training, "minutes"),
    )
    return [table for table in made if table is not None]


def _costs(judged: Judged, name: str, caption: str, costs: Sequence[Cost], about: str) -> Table | None:
    if not costs:
        return None
    condition = next((cost.condition for cost in costs if cost.key == about), "")
    marks = len(judged.names) > 1 and any(cost.front for cost in costs)
    busy = any(variant.busy for cost in costs for variant in cost.variants)
    caption += f" ({condition})" if condition else ""
    caption += "; * is on the Pareto front" if marks else ""
    caption += "; ? was measured on a busy machine" if busy else ""
    columns = [
        Column(
            _HEADINGS[cost.key],
            tuple(_cost(cost, i, marks=marks) for i in judged.ranked),
            cost.key,
        )
        for cost in costs
    ]
    return Table(name, caption, (names("variant", (judged.names[i] for i in judged.ranked)), *columns))


def _cost(cost: Cost, place: int, *, marks: bool) -> Cell:
    variant = cost.variants[place]
    if variant.value is None:
        return Cell(DASH)
    text = large(variant.value) if cost.key in ("parameters", "macs") else _small(variant.value)
    front = marks and variant.on_front
    return numeric(variant.value, f"{'*' * front}{text}{'?' * variant.busy}", best=front)


def large(value: float) -> str:
    """`9.2 M`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f}"


def _small(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _pair_names(rows: Sequence[tuple[Differences, PairDifference]]) -> Column:
    return names("pair", (f"{row.first} − {row.second}" for _, row in rows))


def _difference_columns(
    judged: Judged, rows: Sequence[tuple[Differences, PairDifference]], measure: Measure
) -> list[Column]:
    models = [row.about == "models" for _, row in rows]
    columns = [
        Column("difference", tuple(numeric(row.difference, points(row.difference, measure)) for _, row in rows)),
        Column(
            _level(judged),
            tuple(
                Cell(DASH) if row.low is None
                else interval(row.low, row.high, f"{points(row.low, measure)} to {points(row.high, measure)}")
                for _, row in rows
            ),
            "interval",
        ),
        Column("p (adjusted)", tuple(numeric(row.p_adjusted, shown_p(row.p_adjusted)) for _, row in rows), "p_adjusted"),
        Column(
            f"SE from {judged.case}s", tuple(_error(row.sd_units, measure.factor) for _, row in rows), "se_units"
        ),
    ]  # fmt: skip
    if not all(models):
        errors = (None if model else row.sd_seeds for (_, row), model in zip(rows, models, strict=True))
        columns.append(Column("SE from seeds", tuple(_error(each, measure.factor) for each in errors), "se_seeds"))
    return [*columns, names("verdict", (row.verdict for _, row in rows))]


def _differences_caption(judged: Judged, of: str) -> str:
    by_class = "" if of else " by class"
    return (
        f"differences of {of}{judged.word}{by_class} in {judged.measure.unit}, the better variant first; SE: standard error "
        "of the difference, by source"
    )


def _error(value: float | None, factor: float) -> Cell:
    return numeric(value, DASH if value is None else f"{factor * value:.2f}")


def _scores(spreads: Sequence[Spread], ends: Sequence[Interval | None], sign: int) -> tuple[Cell, ...]:
    best = max((s.mean for s in spreads if s.mean is not None), key=lambda mean: sign * mean, default=None)
    return tuple(
        numeric(s.mean, score(s), f"{end[0]:.3f} to {end[1]:.3f}" if end else "",
                best=len(spreads) > 1 and s.mean is not None and s.mean == best)
        for s, end in zip(spreads, ends, strict=True)
    )  # fmt: skip


def score(spread: Spread) -> str:
    """`0.936 ± 0.002`."""
    if spread.mean is None:
        return DASH
    return f"{spread.mean:.3f}" + (f" ± {spread.sd:.3f}" if spread.sd is not None else "")


def _ends(ends: Interval | None) -> Cell:
    return Cell(DASH) if ends is None else interval(*ends, f"{ends[0]:.3f} to {ends[1]:.3f}")


def _range(spread: Spread) -> Cell:
    if spread.sd is None:
        return Cell(DASH)
    return interval(spread.minimum, spread.maximum, f"{spread.minimum:.3f} to {spread.maximum:.3f}")


def _level(judged: Judged) -> str:
    return f"{100 * judged.choices.confidence:g} % interval"


def _direction(judged: Judged) -> str:
    return judged.measure.in_unit + _lower(judged)


def _lower(judged: Judged) -> str:
    return "; lower is better" if judged.measure.sign < 0 else ""
