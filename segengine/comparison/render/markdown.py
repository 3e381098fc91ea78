"""A comparison as Markdown; all texts are escaped."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.comparison.judge import Judged
from segengine.comparison.render.terminal import text_lines
from segengine.comparison.table import Table
from segengine.comparison.tables import tables_of
from segengine.figures.figure import Figure


def markdown(judged: Judged, figures: Sequence[Figure] = ()) -> str:
    """Title, tables and sentences; `figures` are listed with descriptions and file names."""
    lines = [f"## {escaped(judged.comparison.title)}", "", *map(escaped, judged.said.about)]
    for table in tables_of(judged):
        lines += ["", table_lines(table)]
    lines += ["", *(f"{'  ' * line.startswith('  ')}- {escaped(line)}" for line in text_lines(judged))]
    if figures:
        lines += ["", "### Figures", ""]
        lines += [f"- [{escaped(f.title)}](figures/{f.name}.svg): {escaped(f.description)}" for f in figures]
    if figures and judged.said.fairness.equal:
        lines += ["", "### Equal in all runs", ""]
        lines += [f"- {name}: {escaped(value)}" for name, value in judged.said.fairness.equal]
        lines += ["", "### References", "", *(f"- {escaped(reference)}" for reference in judged.said.references)]
    return "\n".join(lines) + "\n"


def table_lines(table: Table) -> str:
    """A table with its caption in bold above; notes in parentheses."""
    lines = [f"**{escaped(table.noted_caption)}**", "", _row(table.header)]
    lines.append("|" + "|".join(" :-- " if column.text else " --: " for column in table.columns) + "|")
    lines += [_row([f"{cell.text} ({cell.note})" if cell.note else cell.text for cell in row]) for row in table.rows]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(escaped, cells)) + " |"


def escaped(text: str) -> str:
    """Text escaped for Markdown, also within table cells."""
    return "".join(f"\\{c}" if c in "\\|*_`<[]" else c for c in " ".join(text.split()))
