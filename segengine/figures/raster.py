"""Rasterisation of drawings with Matplotlib's Agg renderer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segengine.figures.labels import from_hexadecimal
from segengine.figures.palette import of_file
from segengine.figures.svg import Drawing, Mark, rect

if TYPE_CHECKING:
    from matplotlib.path import Path
    from matplotlib.transforms import Affine2D

_Colour = tuple[float, float, float, float]
_UNIT = 100.0  # units of a cached text's font size


def pixels_of(drawing: Drawing, scale: float = 2) -> NDArray[np.uint8]:
    """The drawing on a white background, uint8 [H, W, 3], `scale` pixels per unit; characters missing in the font are boxes."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.transforms import Affine2D

    width, height = round(drawing.width * scale), round(drawing.height * scale)
    renderer: Any = RendererAgg(width, height, 72)  # type: ignore[no-untyped-call]
    to_pixels = Affine2D().scale(scale, -scale).translate(0, height)
    for mark in _leaves((rect(0, 0, drawing.width + 1, drawing.height + 1, "#ffffff"), *drawing.marks)):
        path, place = _text(mark) if mark.tag == "text" else (_shape(mark), Affine2D())
        for fill, stroke in _passes(mark):
            context = renderer.new_gc()
            context.set_alpha(float(mark.attributes.get("fill-opacity", 1)))
            context.set_linewidth(scale * float(mark.attributes.get("stroke-width", 1)) if stroke else 0.0)
            context.set_joinstyle("round")
            context.set_capstyle("butt")
            if stroke:
                context.set_foreground(stroke, isRGBA=True)
            if dash := mark.attributes.get("stroke-dasharray"):
                context.set_dashes(0, [scale * float(part) for part in str(dash).split()])
            renderer.draw_path(context, path, place + to_pixels, fill)
    return np.ascontiguousarray(np.asarray(renderer.buffer_rgba())[..., :3])


def _leaves(marks: tuple[Mark | str, ...]) -> Iterator[Mark]:
    for mark in marks:
        if isinstance(mark, Mark) and mark.tag == "g":
            yield from _leaves(mark.children)
        elif isinstance(mark, Mark) and mark.tag not in ("title", "desc"):
            yield mark


def _passes(mark: Mark) -> Iterator[tuple[_Colour | None, _Colour | None]]:
    """Fill and stroke as RGBA in 0..1; for text with a halo, the stroke is drawn first."""
    fill, stroke = (
        None if role == "none" else _colour(str(role))
        for role in (mark.attributes.get("fill", "none"), mark.attributes.get("stroke", "none"))
    )
    if "paint-order" in mark.attributes:
        yield None, stroke
        stroke = None
    yield fill, stroke


def _colour(role: str) -> _Colour:
    red, green, blue = from_hexadecimal(of_file(role))
    return red / 255, green / 255, blue / 255, 1.0


def _shape(mark: Mark) -> Path:
    from matplotlib.path import Path

    def of(*names: str) -> list[float]:
        return [float(mark.attributes[name]) for name in names]

    if mark.tag == "rect":
        x, y, width, height = of("x", "y", "width", "height")
        return Path([(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)], closed=True)
    if mark.tag == "circle":
        x, y, radius = of("cx", "cy", "r")
        return Path.circle((x, y), radius)
    if mark.tag == "line":
        x1, y1, x2, y2 = of("x1", "y1", "x2", "y2")
        return Path([(x1, y1), (x2, y2)])
    corners = [tuple(map(float, pair.split(","))) for pair in str(mark.attributes["points"]).split()]
    points = np.reshape([*corners, *corners[:1]] if mark.tag == "polygon" else corners, (-1, 2))  # (0, 2) without any
    return Path(points, closed=mark.tag == "polygon" and len(points) > 0)


def _text(mark: Mark) -> tuple[Path, Affine2D]:
    from matplotlib.transforms import Affine2D

    path, width = _glyphs("".join(str(child) for child in mark.children), "font-weight" in mark.attributes)
    anchor = {"middle": -0.5, "end": -1.0}.get(str(mark.attributes.get("text-anchor")), 0.0)
    size = float(mark.attributes["font-size"]) / _UNIT
    place = Affine2D().translate(anchor * width, 0).scale(size, -size)
    if "transform" in mark.attributes:
        place = place.rotate_deg(-45)
    return path, place.translate(float(mark.attributes["x"]), float(mark.attributes["y"]))


@lru_cache(maxsize=4096)
def _glyphs(content: str, bold: bool) -> tuple[Path, float]:
    """The outline of a text at font size `_UNIT`, starting on the baseline, and its width; math mode is off."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=_UNIT)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        width, _, _ = text_to_path.get_text_width_height_descent(content, font, ismath=False)
        corners, codes = text_to_path.get_text_path(font, content, ismath=False)
    at_size = np.reshape(corners, (-1, 2)) * (_UNIT / text_to_path.FONT_SCALE)
    return Path(at_size, codes if len(codes) else None), float(width)
