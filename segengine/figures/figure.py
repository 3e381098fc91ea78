"""A figure: a drawing for HTML pages and image files, with a title, a description and a table of its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from segengine.figures import palette
from segengine.figures.encoding import png_of
from segengine.figures.raster import pixels_of
from segengine.figures.svg import Drawing, Paint, number, printable, rect, written

WIDE, HALF, NARROW = 860, 420, 328
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Numbers:
    """The table of a figure's values, as text; `words` are the indices of text columns, the others are numeric."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Figure:
    """A chart with its title and description.

    Attributes:
        name: name of the figure's files, and its id on a page.
        draw: function from a width in drawing units to the drawing.
        table: the figure's values: `Numbers`, or another table that the page can render.
        width, narrow: width on wide and on narrow screens, in drawing units.
        interactive: whether marks can be focused and have their own labels.
    """

    name: str
    title: str
    description: str
    draw: Callable[[float], Drawing]
    table: object | None = None
    width: float = WIDE
    narrow: float = NARROW
    interactive: bool = False

    def for_page(self, prefix: str = "") -> list[tuple[str, str]]:
        """Pairs of a CSS class and an SVG element, for wide and for narrow screens; `prefix` makes ids unique."""
        sizes = (("for-wide", self.width), ("for-narrow", self.narrow))
        return [(name, self._svg(width, palette.of_page, f"{prefix}{self.name}-{name}")) for name, width in sizes]

    def as_file(self) -> str:
        """A standalone SVG document with a white background."""
        drawing = self.draw(self.width)
        ground = written(rect(0, 0, drawing.width, drawing.height, "ground"), palette.of_file)
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            + self._svg(self.width, palette.of_file, self.name, ground)
            + "\n"
        )

    def as_png(self) -> bytes:
        """A PNG with a white background, two pixels per drawing unit."""
        return png_of(pixels_of(self.draw(self.width), scale=2))

    def _svg(self, width: float, paint: Paint, id_: str, ground: str = "") -> str:
        drawing = self.draw(width)
        wide, high = number(drawing.width), number(drawing.height)
        space = ' xmlns="http://www.w3.org/2000/svg"' if ground else ""
        role = "group" if self.interactive else "img"
        return (
            f'<svg{space} viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
            f' role="{role}" aria-labelledby="{id_}-title" aria-describedby="{id_}-desc" font-family="{FONT}">'
            f'<title id="{id_}-title">{escape(printable(self.title))}</title>'
            f'<desc id="{id_}-desc">{escape(printable(self.description))}</desc>'
            f"{ground}{''.join(written(mark, paint) for mark in drawing.marks)}</svg>"
        )
