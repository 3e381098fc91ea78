"""A comparison in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segengine.comparison.judge import Judged
from segengine.comparison.table import Cell, Column, Table
from segengine.comparison.tables import score, tables_of
from segengine.errors import printable
from segengine.figures.numbers import plural
from segengine.metrics.extremes import Extremes, extremes

if TYPE_CHECKING:
    from rich.console import Console


def terminal(judged: Judged, console: Console, *, all_classes: bool = False) -> None:
    """Print a comparison: tables without intervals of classes, then the sentences.

    With many classes, only the ten worst and ten best by the first score, unless `all_classes` is set.
    """
    said = judged.said
    console.print(f"[bold]{_plain(judged.comparison.title)}[/bold]")
    for line in said.about:
        console.print(_plain(line), soft_wrap=True)
    for table in tables_of(judged):
        console.print(f"\n[italic]{_plain(table.caption)}[/italic]", soft_wrap=True)
        console.print(_drawn(table, None if all_classes else _few(judged, table), _means(judged, table)))
    console.print()
    for line in text_lines(judged):
        console.print(_plain(line), soft_wrap=True)


def text_lines(judged: Judged) -> list[str]:
    """Verdict, factor, other differences, notes, pairs and methods, one per line; details are indented."""
    said, fair = judged.said, judged.said.fairness
    lines = [" ".join(said.verdict), f"compared: {fair.factor}"]
    if fair.confounders:
        lines.append("other differences between the runs that could explain the result:")
        lines += [f"  {line}" for line in fair.confounders]
    lines += [f"note: {note}" for note in fair.notes]
    lines += [f"left out: {line}" for line in fair.left_out]
    return [*lines, *said.pairs, *said.order, f"Methods: {said.methods}"]


def _few(judged: Judged, table: Table) -> Extremes | None:
    """The rows that are shown if there are many classes, for scores and differences by class."""
    if table.columns[0].heading == "class":
        return extremes(_numbers(table.columns[2]), lower_is_better=judged.measure.sign < 0)
    if table.name == "differences-by-class":
        return extremes(_numbers(table.columns[3]))
    return None


def _numbers(column: Column) -> list[float | None]:
    return [cell.value if isinstance(cell.value, int | float) else None for cell in column.cells]


def _means(judged: Judged, table: Table) -> list[str]:
    """The last row of scores by class: the mean of each variant over the averaged classes."""
    kinds = [kind for kind in judged.kinds if table.name == f"classes-{kind.replace('_', '-')}"]
    if table.columns[0].heading != "class" or not kinds:
        return []
    variants = [judged.comparison.variants[i] for i in judged.ranked]
    over = plural(len(judged.comparison.averaged), "class", "classes")
    return [f"mean of {over}", "", *(score(variant.scores[judged.metric, kinds[0]].mean) for variant in variants)]


def _drawn(table: Table, few: Extremes | None, means: list[str]) -> object:
    from rich.table import Table as Drawn

    drawn = Drawn(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(table.columns):
        drawn.add_column(_plain(column.heading), justify="left" if column.text else "right", no_wrap=place == 0)
    rows = table.rows
    for place in range(len(rows)) if few is None else few.worst:
        drawn.add_row(*(_shown(cell) for cell in rows[place]))
    if few is not None:
        drawn.add_row(f"[dim]{few.left_out} (compare --all)[/dim]")
        for place in few.best:
            drawn.add_row(*(_shown(cell) for cell in rows[place]))
        if means:
            drawn.add_row(*(f"[bold]{_plain(text)}[/bold]" for text in means))
    return drawn


def _shown(cell: Cell) -> str:
    return f"[bold]{_plain(cell.text)}[/bold]" if cell.best else _plain(cell.text)


def _plain(text: str) -> str:
    """Text escaped for rich's markup and for the terminal."""
    from rich.markup import escape

    return escape(printable(text))
