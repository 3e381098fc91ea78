"""The comparison's tables: scores with intervals, differences, and the numbers that figures show."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.comparison.costs import Cost
from segengine.comparison.page.table import Cell, Table, named, numeric, table_of
from segengine.comparison.page.view import View
from segengine.comparison.statistics.differences import Differences, PairDifference
from segengine.comparison.statistics.score_intervals import Interval
from segengine.comparison.statistics.verdict import WORDS, word
from segengine.comparison.summary import Kind, Spread
from segengine.comparison.words import points, shown_p
from segengine.figures.numbers import DASH
from segengine.figures.scales import shown


def score_table(view: View, kind: Kind) -> Table:
    """Variants, the best first: mean with its interval, spread over seeds, each class with its interval."""
    comparison, word, sign = view.comparison, view.word, view.measure.sign
    tables = [comparison.variants[i].scores[view.metric, kind] for i in view.ranked]
    intervals = [view.intervals[kind][i] for i in view.ranked]
    columns = [[t.mean for t in tables], *([t.classes[k] for t in tables] for k in range(len(view.classes)))]
    ends = [
        [each.mean for each in intervals],
        *([each.classes[k] for each in intervals] for k in range(len(view.classes))),
    ]
    cells = [_scores(spreads, found, sign) for spreads, found in zip(columns, ends, strict=True)]
    rows = []
    for place, i in enumerate(view.ranked):
        variant = comparison.variants[i]
        sd = tables[place].mean.sd
        spread = numeric(sd, DASH if sd is None else f"{sd:.3f}")
        seeds = numeric(len(variant.seeds), str(len(variant.seeds)))
        rows.append([named(variant.name), seeds, cells[0][place], spread, *(column[place] for column in cells[1:])])
    level = f"{100 * view.choices.confidence:g} % interval"
    how = "pooled over images" if kind == "pooled" else "mean over images"
    below = f", with {level}s" if any(end is not None for column in ends for end in column) else ""
    star = "; * not in the mean" if any(not facts.averaged for facts in comparison.classes) else ""
    classes = [facts.name + ("" if facts.averaged else " *") for facts in comparison.classes]
    header = ("variant", "seeds", f"mean {word}", "SD over seeds", *classes)
    better = "; lower is better" if sign < 0 else ""
    caption = f"{word}{view.measure.in_unit}, {how}{better}{below}{star}"
    return table_of(f"scores-{kind.replace('_', '-')}", caption, header, rows, sorted_by=2, ascending=sign < 0)


def _scores(spreads: Sequence[Spread], ends: Sequence[Interval | None], sign: int) -> list[Cell]:
    best = max((s.mean for s in spreads if s.mean is not None), key=lambda mean: sign * mean, default=None)
    return [
        numeric(
            s.mean, DASH if s.mean is None else f"{s.mean:.3f}", f"{end[0]:.3f} to {end[1]:.3f}" if end else "",
            best=len(spreads) > 1 and s.mean is not None and s.mean == best,
        )
        for s, end in zip(spreads, ends, strict=True)
    ]  # fmt: skip


def difference_table(found: Differences, rows: Sequence[PairDifference], name: str = "differences") -> Table:
    """Differences with interval, adjusted p, parts of the standard error and verdict."""
    by_class = any(row.score is not None for row in rows)
    level = f"{100 * found.choices.confidence:g} % interval"
    factor = found.measure.factor
    header = [
        "pair",
        *(["class"] if by_class else []),
        "difference",
        level,
        "p (Holm)",
        "SD of units",
        "SD of seeds",
        "verdict",
    ]
    listed = [
        [
            named(f"{row.first} − {row.second}"), *([named(row.score or "")] if by_class else []),
            numeric(row.difference, points(row.difference, found.measure)),
            numeric(row.low, DASH if row.low is None else f"{points(row.low, found.measure)} to {points(row.high, found.measure)}"),
            numeric(row.p_holm, shown_p(row.p_holm)),
            _sd(row.sd_units, factor), _sd(row.sd_seeds if row.about == "variants" else None, factor), named(row.verdict),
        ]
        for row in rows
    ]  # fmt: skip
    of = "by class " if by_class else "of the mean "
    name_of = word(found.metric, found.measure)
    caption = (
        f"Differences {of}in {found.measure.unit} of {name_of}, {WORDS[found.kind]}; SD: parts of the standard error"
    )
    words = (0, 1, len(header) - 1) if by_class else (0, len(header) - 1)
    return table_of(name, caption, header, listed, words=words)


def _sd(value: float | None, factor: float) -> Cell:
    return numeric(value, DASH if value is None else f"{factor * value:.2f}")


def cost_table(view: View, costs: Sequence[Cost]) -> Table | None:
    """All costs by variant; `on the front` marks those that no other beats in score and that cost."""
    if not costs:
        return None
    rows = []
    for i in view.ranked:
        mean = view.tables[i].mean.mean
        cells = [named(view.names[i]), numeric(mean, DASH if mean is None else f"{mean:.3f}")]
        for cost in costs:
            value = cost.variants[i].value
            text = DASH if value is None else shown(float(f"{value:.3g}"))
            cells.append(numeric(value, text, "on the front" if cost.variants[i].on_front else ""))
        rows.append(cells)
    header = (
        "variant",
        f"mean {view.word}{view.measure.in_unit}",
        *(cost.label + (f", {cost.unit}" if cost.unit else "") for cost in costs),
    )
    caption = (
        "Costs: median over a variant's runs; 'on the front': no other variant is better in both score and that cost"
    )
    return table_of("costs", caption, header, rows, sorted_by=1, ascending=view.measure.sign < 0)
