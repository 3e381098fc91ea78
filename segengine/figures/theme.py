"""The look of every figure: colours for light and dark ground, axes without clutter, encoding as PNG."""

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

DPI = 160


@dataclass(frozen=True)
class Theme:
    """Colours of a figure; the series follow Okabe and Ito (2008), told apart with every colour vision."""

    name: str
    ground: str
    panel: str
    ink: str
    muted: str
    grid: str
    blue: str
    orange: str
    green: str
    pink: str
    ramp: tuple[str, ...]  # of a matrix, from nothing to all


LIGHT = Theme(
    name="light",
    ground="#ffffff",
    panel="#f5f6f8",
    ink="#1b2026",
    muted="#5c6670",
    grid="#e3e6ea",
    blue="#0072b2",
    orange="#d55e00",
    green="#009e73",
    pink="#b8518f",
    ramp=("#f5f6f8", "#cfe0ee", "#86b4d6", "#3a7fb5", "#12456f"),
)
DARK = Theme(
    name="dark",
    ground="#181c21",
    panel="#20252b",
    ink="#e8ebee",
    muted="#9aa5b0",
    grid="#2d343b",
    blue="#56b4e9",
    orange="#f0913d",
    green="#2fc79a",
    pink="#e08bbd",
    ramp=("#20252b", "#1f3b52", "#2b648f", "#4f9ad0", "#b9defa"),
)


def figure(width: float, height: float, theme: Theme) -> "Figure":
    """An empty figure of `width` x `height` inches, independent of pyplot and its state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=DPI, facecolor=theme.ground)
    FigureCanvasAgg(made)
    return made


def dress(axes: "Axes", theme: Theme) -> None:
    """Give axes the house style: a quiet grid, no box, small muted tick labels."""
    axes.set_facecolor(theme.ground)
    axes.set_axisbelow(True)
    axes.grid(True, color=theme.grid, linewidth=0.8)
    axes.tick_params(length=0, labelsize=8.5, colors=theme.muted, pad=5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(theme.muted)
    axes.spines["bottom"].set_linewidth(0.8)


def heading(axes: "Axes", text: str, theme: Theme, **settings: Any) -> "Text":
    """A title flush left above axes, taken literally: a dollar sign in a name starts no formula."""
    settings = {"size": 10, "weight": "bold", "color": theme.ink, "pad": 8, **settings}
    size, pad = settings.pop("size"), settings.pop("pad")
    title = axes.set_title("", loc="left", fontsize=size, pad=pad, **settings)
    return literal(title, text)


def literal(text: "Text", content: str) -> "Text":
    """Set a text that comes from the user: never read as a formula."""
    text.set_parse_math(False)
    text.set_text(content)
    return text


def png(made: "Figure") -> bytes:
    """The figure as PNG; a character that the font lacks is drawn as a box, without a warning."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        made.savefig(buffer, format="png", dpi=DPI, facecolor=made.get_facecolor(), metadata={"Software": None})
    return buffer.getvalue()
