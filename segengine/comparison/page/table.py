"""Tables in words: what the page, Markdown and LaTeX show alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A cell's text, a note below it (an interval), and what it is sorted by; None sorts last."""

    text: str
    note: str = ""
    sort: float | str | None = None
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first of each row a name. `sorted_by` is the column that the rows come sorted by, descending
    unless `ascending`.
    """

    name: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sorted_by: int | None = None
    words: tuple[int, ...] = (0,)
    ascending: bool = False

    def plain(self) -> list[tuple[str, ...]]:
        """Rows of text, notes in parentheses."""
        return [tuple(f"{c.text} ({c.note})" if c.note else c.text for c in row) for row in self.rows]


def named(text: str) -> Cell:
    """A cell that holds a name or words."""
    return Cell(text, sort=text.casefold())


def numeric(value: float | None, text: str, note: str = "", *, best: bool = False) -> Cell:
    """A cell that holds a number."""
    return Cell(text, note, value, best)


def table_of(
    name: str, caption: str, header: Sequence[str], rows: Sequence[Sequence[Cell]], *, sorted_by: int | None = None,
    words: Sequence[int] = (0,), ascending: bool = False,
) -> Table:  # fmt: skip
    """A table from lists; `words` are the columns of text, which stand left."""
    return Table(name, caption, tuple(header), tuple(map(tuple, rows)), sorted_by, tuple(words), ascending)
