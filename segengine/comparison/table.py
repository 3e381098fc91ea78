"""Tables of typed cells, rendered by all outputs. A column has a key and values for files, a heading and texts for display."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Value = float | int | str | bool | None


@dataclass(frozen=True)
class Cell:
    """A cell's text, its unrounded value (None: undefined, sorts last), and a note below it, such as an interval.

    `ends` are the two ends of an interval, whose centre or lower end is `value`.
    """

    text: str
    value: Value = None
    note: str = ""
    best: bool = False
    ends: tuple[float | None, float | None] | None = None

    @property
    def sort(self) -> float | str | None:
        """The key for sorting rows."""
        return self.value.casefold() if isinstance(self.value, str) else self.value


@dataclass(frozen=True)
class Column:
    """One column: its heading, one cell per row, and its key in CSV and JSON (the heading if empty).

    `text`: cells are text, aligned left.
    """

    heading: str
    cells: tuple[Cell, ...]
    key: str = ""
    text: bool = False

    def values(self) -> list[tuple[str, list[Value]]]:
        """Keys and unrounded values: one list, or two for an interval."""
        key = self.key or self.heading
        if any(cell.ends for cell in self.cells):
            ends = [cell.ends or (None, None) for cell in self.cells]
            return [(f"{key}_low", [low for low, _ in ends]), (f"{key}_high", [high for _, high in ends])]
        return [(key, [cell.value for cell in self.cells])]


@dataclass(frozen=True)
class Table:
    """Columns, the first with names. Rows are sorted by the column `sorted_by`, descending unless `ascending`.

    `notes` describes the notes of cells; outputs that show them add it to the caption.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    sorted_by: int | None = None
    ascending: bool = False
    notes: str = ""

    @property
    def noted_caption(self) -> str:
        """The caption for outputs that show the notes of cells."""
        shown = any(cell.note for column in self.columns for cell in column.cells)
        return f"{self.caption}; {self.notes}" if self.notes and shown else self.caption

    @property
    def header(self) -> tuple[str, ...]:
        return tuple(column.heading for column in self.columns)

    @property
    def rows(self) -> list[tuple[Cell, ...]]:
        return list(zip(*(column.cells for column in self.columns), strict=True))

    @property
    def text_columns(self) -> tuple[int, ...]:
        """Indices of text columns."""
        return tuple(place for place, column in enumerate(self.columns) if column.text)

    def values(self) -> tuple[list[str], list[list[Value]]]:
        """Keys, and rows of unrounded values."""
        pairs = [pair for column in self.columns for pair in column.values()]
        return [key for key, _ in pairs], [list(row) for row in zip(*(values for _, values in pairs), strict=True)]


def named(text: str) -> Cell:
    """A text cell."""
    return Cell(text, text)


def numeric(value: float | None, text: str, note: str = "", *, best: bool = False) -> Cell:
    """A numeric cell."""
    return Cell(text, value, note, best)


def interval(low: float | None, high: float | None, text: str) -> Cell:
    """A cell with an interval, sorted by its lower end."""
    return Cell(text, low, ends=(low, high))


def names(heading: str, texts: Iterable[str], key: str = "") -> Column:
    """A column of words."""
    return Column(heading, tuple(map(named, texts)), key, text=True)


def table_of(
    name: str, caption: str, header: Sequence[str], rows: Sequence[Sequence[Cell]], *, sorted_by: int | None = None,
    text_columns: Sequence[int] = (0,), ascending: bool = False,
) -> Table:  # fmt: skip
    """A table from rows; `text_columns` are the indices of text columns."""
    columns = [
        Column(heading, tuple(row[place] for row in rows), text=place in text_columns)
        for place, heading in enumerate(header)
    ]
    return Table(name, caption, tuple(columns), sorted_by, ascending)
