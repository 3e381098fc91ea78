"""A minimal set of SVG elements whose colours are roles, resolved when a drawing is written to a page or a file."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

Paint = Callable[[str], str]
"""Function from a role (`ink`, `grid`, `series-3`, `heat-10`) to an SVG colour."""
Value = str | float | None
Place = tuple[float, float]

_CORNERS = {  # corners of a marker of radius 1, by shape
    1: [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    2: [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
    3: [(0, -1.2), (1.15, 0.85), (-1.15, 0.85)],
    4: [(0, 1.2), (1.15, -0.85), (-1.15, -0.85)],
    5: [(-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4), (1.1, 0.4), (0.4, 0.4), (0.4, 1.1), (-0.4, 1.1), (-0.4, 0.4),
        (-1.1, 0.4), (-1.1, -0.4), (-0.4, -0.4)],
}  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """An SVG element; `fill` and `stroke` hold roles or `none`, children are marks or text (escaped when written)."""

    tag: str
    attributes: dict[str, str | float]
    children: tuple[Mark | str, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """Marks on a canvas of `width` x `height` drawing units (CSS pixels at full size)."""

    width: float
    height: float
    marks: tuple[Mark, ...]


def mark(tag: str, *children: Mark | str, **attributes: Value) -> Mark:
    """An SVG element; underscores in attribute names become hyphens, attributes that are None are omitted."""
    given = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    return Mark(tag, given, children)


def line(x1: float, y1: float, x2: float, y2: float, role: str, *, width: float = 1) -> Mark:
    """A straight line."""
    return mark("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=role, stroke_width=width)


def rect(x: float, y: float, width: float, height: float, role: str, **more: Value) -> Mark:
    """A filled rectangle."""
    return mark("rect", x=x, y=y, width=max(0.0, width), height=max(0.0, height), fill=role, **more)


def text(
    x: float, y: float, content: str, *, role: str = "ink", size: float = 12, anchor: str | None = None,
    bold: bool = False, turned: float | None = None, halo: bool = False,
) -> Mark:  # fmt: skip
    """A line of text; `y` is its baseline, `turned` a rotation in degrees around its start, `halo` hides lines behind it."""
    return mark(
        "text", printable(content), x=x, y=y, fill=role, font_size=size, text_anchor=anchor, font_weight=600 if bold else None,
        stroke="ground" if halo else None, stroke_width=4 if halo else None, paint_order="stroke" if halo else None,
        transform=f"rotate({number(turned)} {number(x)} {number(y)})" if turned else None,
    )  # fmt: skip


def polyline(points: Sequence[Place], role: str, width: float = 2, dash: str | None = None) -> Mark:
    """An open line through the points."""
    return mark("polyline", points=_along(points), fill="none", stroke=role, stroke_width=width, stroke_dasharray=dash,
                stroke_linejoin="round")  # fmt: skip


def area(points: Sequence[Place], role: str, opacity: float = 0.18) -> Mark:
    """A filled, translucent polygon."""
    return mark("polygon", points=_along(points), fill=role, fill_opacity=opacity)


def group(*marks: Mark, about: str = "", **attributes: Value) -> Mark:
    """A group of marks; `about` is its title, shown as a tooltip and read by screen readers."""
    return mark("g", *((mark("title", printable(about)),) if about else ()), *marks, **attributes)


def point(x: float, y: float, shape: int, role: str, *, radius: float = 5, hollow: bool = False) -> Mark:
    """A marker; shapes differ so that series can be distinguished without colours."""
    style: dict[str, Value] = {
        "fill": "ground" if hollow else role, "stroke": role, "stroke_width": 1.6, "stroke_linejoin": "round"
    }  # fmt: skip
    if shape % 6 == 0:
        return mark("circle", cx=x, cy=y, r=radius, **style)
    return mark("polygon", points=_along([(x + radius * a, y + radius * b) for a, b in _CORNERS[shape % 6]]), **style)


def written(element: Mark, paint: Paint) -> str:
    """The element as SVG source; all texts are escaped."""
    attributes = "".join(f' {name}="{_value(name, value, paint)}"' for name, value in element.attributes.items())
    if not element.children:
        return f"<{element.tag}{attributes}/>"
    inner = "".join(escape(c, quote=False) if isinstance(c, str) else written(c, paint) for c in element.children)
    return f"<{element.tag}{attributes}>{inner}</{element.tag}>"


def _value(name: str, value: str | float, paint: Paint) -> str:
    if not isinstance(value, str):
        return number(value)
    if name in ("fill", "stroke") and value != "none":
        return paint(value)
    return "&#10;".join(escape(printable(line_)) for line_ in value.split("\n"))


def _along(points: Sequence[Place]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)


def number(value: float) -> str:
    """A coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value != int(value) else str(int(value))


def printable(content: str) -> str:
    """The text with non-printable characters, which XML may not allow, replaced by spaces."""
    return "".join(c if c.isprintable() else " " for c in content)


def text_width(content: str, size: float, *, bold: bool = False) -> float:
    """An upper estimate of a text's width in drawing units, used for layout."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in content)
    return size * ((0.68 if bold else 0.6) * (len(content) - wide) + 1.0 * wide)


def fitting(content: str, size: float, room: float, *, bold: bool = False) -> str:
    """The text, shortened by an ellipsis in its middle if it is wider than `room`; names often differ only at their ends."""
    whole = " ".join(printable(content).split())
    if text_width(whole, size, bold=bold) <= room:
        return whole
    for kept in range(len(whole) - 1, 0, -1):
        tail = kept * 2 // 5
        shortened = f"{whole[: kept - tail].rstrip()}…{whole[len(whole) - tail :].lstrip()}"
        if text_width(shortened, size, bold=bold) <= room:
            return shortened
    return "…"
