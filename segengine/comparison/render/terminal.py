"""A comparison in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segengine.comparison.judge import Judged
from segengine.comparison.table import Cell, Table
from segengine.comparison.tables import tables_of
from segengine.errors import printable

if TYPE_CHECKING:
    from rich.console import Console


def terminal(judged: Judged, console: Console) -> None:
    """Print a comparison: tables without their intervals of classes, then the sentences."""
    said = judged.said
    console.print(f"[bold]{_plain(judged.comparison.title)}[/bold]")
    for line in said.about:
        console.print(_plain(line), soft_wrap=True)
    for table in tables_of(judged):
        console.print(f"\n[italic]{_plain(table.caption)}[/italic]", soft_wrap=True)
        console.print(_drawn(table))
    console.print()
    for line in text_lines(judged):
        console.print(_plain(line), soft_wrap=True)


def text_lines(judged: Judged) -> list[str]:
    """Verdict, what is compared and what differs besides, notes, pairs and methods, a line each; details are indented."""
    said, fair = judged.said, judged.said.fairness
    lines = [" ".join(said.verdict), f"compared: {fair.factor}"]
    if fair.confounders:
        lines.append("other differences between the runs that could explain the result:")
        lines += [f"  {line}" for line in fair.confounders]
    lines += [f"note: {note}" for note in fair.notes]
    lines += [f"left out: {line}" for line in fair.left_out]
    return [*lines, *said.pairs, *said.order, f"Methods: {said.methods}"]


def _drawn(table: Table) -> object:
    from rich.table import Table as Drawn

    drawn = Drawn(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(table.columns):
        drawn.add_column(_plain(column.heading), justify="left" if column.text else "right", no_wrap=place == 0)
    for row in table.rows:
        drawn.add_row(*(_shown(cell) for cell in row))
    return drawn


def _shown(cell: Cell) -> str:
    return f"[bold]{_plain(cell.text)}[/bold]" if cell.best else _plain(cell.text)


def _plain(text: str) -> str:
    """Text from outside, safe in rich's markup and on the terminal."""
    from rich.markup import escape

    return escape(printable(text))
