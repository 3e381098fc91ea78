"""The colours of a comparison's figures: roles such as `ink`, `series-3` and `heat-10`, in light and in dark."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.figures.labels import from_hexadecimal, hexadecimal
from segengine.figures.theme import DARK, LIGHT, Theme

SERIES = 8
"""Colours of variants; after these they repeat, with other markers and dashes (Okabe & Ito 2008)."""
STEPS = 20
"""Steps of the heat colours, `heat-0` to `heat-20`."""
DASHES = (None, "7 3", "2 3", "9 3 2 3", "12 4", "4 2", "1 2", "9 2 2 2 2 2")

_INKS = ("#05080b", "#ffffff")
_SERIES = {
    "light": ("#0072b2", "#d55e00", "#00815e", "#b8518f", "#2f9bd6", "#9a6a00", "#5b4fa2", "#4d565e"),
    "dark": ("#56b4e9", "#f0913d", "#2fc79a", "#e08bbd", "#9bd0f2", "#e5c04a", "#a79df0", "#b3bcc4"),
}


def colours(theme: Theme) -> dict[str, str]:
    """Every role's colour as `#rrggbb`."""
    light = theme.name == "light"
    roles = {
        "ground": theme.ground, "panel": theme.panel, "ink": theme.ink, "muted": theme.muted, "grid": theme.grid,
        "better": "#00734f" if light else "#4fd6ab", "worse": "#a23e00" if light else "#f7a66b",
        "equal": "#0a6aa1" if light else "#67b9ea", "margin": "#e4eef5" if light else "#1d2f3d",
    }  # fmt: skip
    roles |= {f"series-{i}": colour for i, colour in enumerate(_SERIES[theme.name])}
    for step in range(STEPS + 1):
        heat = _along(theme.ramp, step / STEPS)
        roles[f"heat-{step}"] = heat
        roles[f"on-heat-{step}"] = max(_INKS, key=lambda ink, ground=heat: contrast(ink, ground))  # type: ignore[misc]
    return roles


def of_file(role: str) -> str:
    """A role's colour on white paper; a colour that is none of the roles stays what it is."""
    return _OF_FILE.get(role, role)


def of_page(role: str) -> str:
    """A role as the page's style sheet knows it, which follows light and dark."""
    return f"var(--c-{role})" if role in _OF_FILE else role


def css() -> str:
    """The style sheet's variables of all roles, dark where the reader's system is."""
    light, dark = (
        "".join(f"--c-{role}:{colour};" for role, colour in colours(theme).items()) for theme in (LIGHT, DARK)
    )
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def series(place: int) -> str:
    """The role of a variant's colour."""
    return f"series-{place % SERIES}"


def dash(place: int) -> str | None:
    """The dash pattern of a variant's line: every second one is whole, after eight they shift."""
    return DASHES[(place + place // SERIES) % len(DASHES)]


def heat(share: float) -> tuple[str, str]:
    """The roles of a cell's ground and of text on it, for a share in 0..1."""
    step = round(min(max(share, 0.0), 1.0) * STEPS)
    return f"heat-{step}", f"on-heat-{step}"


def _along(ramp: Sequence[str], share: float) -> str:
    place = min(share * (len(ramp) - 1), len(ramp) - 1 - 1e-9)
    low, part = int(place), place - int(place)
    a, b = from_hexadecimal(ramp[low]), from_hexadecimal(ramp[low + 1])
    red, green, blue = (round(x + part * (y - x)) for x, y in zip(a, b, strict=True))
    return hexadecimal((red, green, blue))


def contrast(a: str, b: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.1)."""
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [value / 255 for value in from_hexadecimal(colour)]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


_OF_FILE = colours(LIGHT)
