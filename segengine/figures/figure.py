"""A figure: one drawing for the page and for a file, with a title, a description and its numbers as a table."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from segengine.figures.palette import of_file, of_page
from segengine.figures.svg import FONT, Drawing, Paint, number, printable, rect, written

WIDE, HALF, NARROW = 860, 420, 328


@dataclass(frozen=True)
class Figure:
    """What is drawn at `width` units by `draw`; `narrow`, if any, is the width of a second drawing for small screens.

    `interactive`: marks can be focused and have labels of their own.
    """

    name: str
    title: str
    description: str
    draw: Callable[[float], Drawing]
    table: object | None = None
    width: float = WIDE
    narrow: float | None = NARROW
    interactive: bool = False

    def for_page(self, prefix: str) -> list[tuple[str, str]]:
        """Drawings for the page with their CSS class: for any screen, or for wide ones and for narrow ones."""
        if self.narrow is None:
            return [("any", self._svg(self.width, of_page, f"{prefix}{self.name}"))]
        sizes = (("for-wide", self.width), ("for-narrow", self.narrow))
        return [(name, self._svg(width, of_page, f"{prefix}{self.name}-{name}")) for name, width in sizes]

    def as_file(self) -> str:
        """A standalone SVG on white."""
        drawing = self.draw(self.width)
        ground = written(rect(0, 0, drawing.width, drawing.height, "ground"), of_file)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + self._svg(self.width, of_file, self.name, ground) + "\n"

    def _svg(self, width: float, paint: Paint, id_: str, ground: str = "") -> str:
        drawing = self.draw(width)
        wide, high = number(drawing.width), number(drawing.height)
        role = "group" if self.interactive else "img"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
            f' role="{role}" aria-labelledby="{id_}-title" aria-describedby="{id_}-desc" font-family="{FONT}">'
            f'<title id="{id_}-title">{escape(printable(self.title))}</title>'
            f'<desc id="{id_}-desc">{escape(printable(self.description))}</desc>'
            f"{ground}{''.join(written(mark, paint) for mark in drawing.marks)}</svg>"
        )


def page_css() -> str:
    """The style sheet that all pages share."""
    return (importlib.resources.files("segengine.figures") / "templates" / "page.css").read_text(encoding="utf-8")
