"""Colours of all figures, by role (`ink`, `series-3`, `heat-10`), for light and dark backgrounds."""

from __future__ import annotations

from segengine.figures.labels import from_hexadecimal, hexadecimal

SERIES = 8
"""Number of series colours (after Okabe & Ito, 2008); further series repeat them with other markers and dashes."""
STEPS = 20
"""Number of steps of the heat colours, `heat-0` to `heat-20`."""
DASHES = (None, "7 3", "2 3", "9 3 2 3", "12 4", "4 2", "1 2", "9 2 2 2 2 2")

_INKS = ("#05080b", "#ffffff")
_ROLES = {  # role: on light, on dark background
    "ground": ("#ffffff", "#181c21"), "panel": ("#f5f6f8", "#20252b"), "ink": ("#1b2026", "#e8ebee"),
    "muted": ("#5c6670", "#9aa5b0"), "grid": ("#e3e6ea", "#2d343b"), "better": ("#00734f", "#4fd6ab"),
    "worse": ("#a23e00", "#f7a66b"), "equal": ("#0a6aa1", "#67b9ea"), "margin": ("#e4eef5", "#1d2f3d"),
    "series-0": ("#0072b2", "#56b4e9"), "series-1": ("#d55e00", "#f0913d"), "series-2": ("#00815e", "#2fc79a"),
    "series-3": ("#b8518f", "#e08bbd"), "series-4": ("#2f9bd6", "#9bd0f2"), "series-5": ("#9a6a00", "#e5c04a"),
    "series-6": ("#5b4fa2", "#a79df0"), "series-7": ("#4d565e", "#b3bcc4"),
}  # fmt: skip
_RAMPS = (  # heat colours from 0 to 1, on light and on dark background
    ("#f5f6f8", "#cfe0ee", "#86b4d6", "#3a7fb5", "#12456f"),
    ("#20252b", "#1f3b52", "#2b648f", "#4f9ad0", "#b9defa"),
)


def colours(ground: str) -> dict[str, str]:
    """Role -> colour as `#rrggbb`, for the background `light` or `dark`."""
    which = ("light", "dark").index(ground)
    roles = {role: pair[which] for role, pair in _ROLES.items()}
    for step in range(STEPS + 1):
        heat_ = _along(_RAMPS[which], step / STEPS)
        roles[f"heat-{step}"] = heat_
        roles[f"on-heat-{step}"] = max(_INKS, key=lambda ink, ground=heat_: contrast(ink, ground))  # type: ignore[misc]
    return roles


def of_file(role: str) -> str:
    """A role's colour on white, as `#rrggbb`; anything that is not a role is returned unchanged."""
    return _LIGHT.get(role, role)


def of_page(role: str) -> str:
    """The CSS variable of a role, which follows light and dark mode; anything that is not a role is returned unchanged."""
    return f"var(--c-{role})" if role in _LIGHT else role


def css() -> str:
    """CSS variables of all roles, for light mode and, by media query, for dark mode."""
    light, dark = (
        "".join(f"--c-{role}:{colour};" for role, colour in colours(ground).items()) for ground in ("light", "dark")
    )
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def series(place: int) -> str:
    """The role of a series' colour."""
    return f"series-{place % SERIES}"


def dash(place: int) -> str | None:
    """The dash pattern of a series' line (None: solid); the patterns shift by one when the colours repeat."""
    return DASHES[(place + place // SERIES) % len(DASHES)]


def heat(share: float) -> tuple[str, str]:
    """The roles of a cell's background and of the text on it, for a value in 0..1 (clipped)."""
    step = round(min(max(share, 0.0), 1.0) * STEPS)
    return f"heat-{step}", f"on-heat-{step}"


def contrast(a: str, b: str) -> float:
    """The contrast ratio of two `#rrggbb` colours, 1 to 21 (WCAG 2.1)."""
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [value / 255 for value in from_hexadecimal(colour)]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _along(ramp: tuple[str, ...], share: float) -> str:
    place = min(share * (len(ramp) - 1), len(ramp) - 1 - 1e-9)
    low, part = int(place), place - int(place)
    a, b = from_hexadecimal(ramp[low]), from_hexadecimal(ramp[low + 1])
    red, green, blue = (round(x + part * (y - x)) for x, y in zip(a, b, strict=True))
    return hexadecimal((red, green, blue))


_LIGHT = colours("light")
