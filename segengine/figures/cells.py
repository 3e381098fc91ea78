"""A grid of coloured cells with column headings, shared by the confusion matrix and the score map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segengine.figures.palette import heat
from segengine.figures.svg import Drawing, Mark, fitting, group, rect, text, text_width

_TURNED = 100.0
"""Maximum length of a rotated heading, in drawing units."""


@dataclass(frozen=True)
class Cell:
    """One cell of a `Grid`.

    Attributes:
        strength: colour intensity, 0..1; None for an undefined value.
        text: main text.
        about: title, shown as a tooltip and read by screen readers.
        below: second, smaller line of text.
    """

    strength: float | None
    text: str
    about: str
    below: str = ""


@dataclass(frozen=True)
class Grid:
    """Cells by row, with row and column names.

    Attributes:
        foot: lines of text below the grid.
        aside: text at the end of each row.
        swatches: colour shown before each row's name.
        apart: separate the last row from the others by a gap.
        cell_height: height of a row, in drawing units.
        widest: maximum width of a column, in drawing units.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Sequence[Cell]]
    title: str = ""
    foot: Sequence[str] = ()
    aside: Sequence[str] = ()
    swatches: Sequence[str] = ()
    apart: bool = False
    cell_height: float = 34.0
    widest: float = 1000.0

    def draw(self, width: float) -> Drawing:
        """The grid, `width` units wide; names that do not fit are shortened, headings rotated, cell texts omitted."""
        label = min(max(text_width(name, 12.5) for name in self.rows) + 14, (0.3 if width >= 600 else 0.34) * width)
        label += 16 if self.swatches else 0
        aside = max((text_width(note, 11) for note in self.aside), default=0.0) + (8 if self.aside else 0)
        room = width - label - aside - 2
        cell = min(room / len(self.columns), self.widest)
        turned = max(text_width(name, 12) for name in self.columns) > cell - 6
        heads = [fitting(name, 12, _TURNED if turned else cell - 4) for name in self.columns]
        lean = 0.72 * max(text_width(head, 12) for head in heads)
        if turned:  # the rotated heading of the last column extends beyond its right edge
            cell = min(cell, (width - label - 2 - lean) / (len(self.columns) - 0.5))
        top = (26.0 if self.title else 4.0) + (lean + 14 if turned else 20.0)
        high = self.cell_height if cell > self.cell_height else max(cell, 12.0)
        marks: list[Mark] = []
        if self.title:
            marks.append(text(4, 15, fitting(self.title, 13.5, width - 8, bold=True), size=13.5, bold=True))
        for k, head in enumerate(heads):
            x = label + cell * (k + 0.5)
            marks.append(
                text(
                    x, top - 7, head, role="muted", turned=-45 if turned else None, anchor=None if turned else "middle"
                )
            )
        y = top
        for k in range(len(self.rows)):
            y += 6 if self.apart and k == len(self.rows) - 1 else 0
            marks += self._row(k, label=label, y=y, cell=cell, high=high)
            y += high
        start = max(4.0, min(label, width - 4 - max((text_width(note, 11.5) for note in self.foot), default=0.0)))
        for note in self.foot:
            y += 17
            marks.append(text(start, y + 3, fitting(note, 11.5, width - 8), role="muted", size=11.5))
        return Drawing(width, y + 10, tuple(marks))

    def _row(self, k: int, *, label: float, y: float, cell: float, high: float) -> list[Mark]:
        size, bold, middle = min(12.5, high), self.apart and k == len(self.rows) - 1, y + high / 2 + 4
        marks = [text(label - 9, middle, fitting(self.rows[k], size, label - (27 if self.swatches else 11), bold=bold), size=size,
                      anchor="end", bold=bold)]  # fmt: skip
        if self.swatches and self.swatches[k]:
            marks.append(rect(2, y + high / 2 - 5, 10, 10, self.swatches[k], rx=2, stroke="muted", stroke_width=0.6))
        marks += [_drawn(each, label + cell * j, y, cell, high) for j, each in enumerate(self.cells[k])]
        if self.aside:
            marks.append(
                text(label + cell * len(self.columns) + 8, middle, self.aside[k], role="muted", size=min(11, high))
            )
        return marks


def _drawn(cell: Cell, x: float, y: float, width: float, high: float) -> Mark:
    ground, ink = ("panel", "muted") if cell.strength is None else heat(cell.strength)
    gap = 1.0 if width > 16 else 0.5
    drawn = [rect(x + gap, y + gap, width - 2 * gap, high - 2 * gap, ground, rx=2 * gap)]
    size = next((s for s in (12.5, 11, 10) if text_width(cell.text, s) * 0.95 + 2 <= width and s <= high), None)
    if size is not None and cell.text:
        two = bool(cell.below) and high >= 40 and text_width(cell.below, 9.5) <= width
        drawn.append(
            text(x + width / 2, y + high / 2 + (-1 if two else 4), cell.text, role=ink, size=size, anchor="middle")
        )
        if two:
            drawn.append(text(x + width / 2, y + high / 2 + 13, cell.below, role=ink, size=9.5, anchor="middle"))
    return group(*drawn, about=cell.about)
