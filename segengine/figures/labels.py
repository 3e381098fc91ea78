"""Labels of classes in figures: colours, background, shortened names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

UNKNOWN_COLOUR = (255, 0, 255)  # of class indices without a label; conspicuous on purpose

Colour = tuple[int, int, int]


class LabelLike(Protocol):
    """One class: `index` 0..K-1, `name`, the mask's own value `raw`, and `colour` (red, green, blue in 0..255)."""

    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def raw(self) -> int | tuple[int, int, int]: ...
    @property
    def colour(self) -> tuple[int, int, int]: ...


def colour_table(labels: Sequence[LabelLike]) -> NDArray[np.uint8]:
    """Colour table uint8 [256, 3] indexed by class; indices without a label are magenta."""
    table = np.empty((256, 3), np.uint8)
    table[:] = UNKNOWN_COLOUR
    for label in labels:
        table[label.index] = label.colour
    return table


def is_background(label: LabelLike) -> bool:
    """Whether overlays leave a class untinted: class 0, if it is named "background" or its colour is black."""
    return label.index == 0 and (label.name.strip().casefold() == "background" or label.colour == (0, 0, 0))


def short(text: str, limit: int) -> str:
    """The text on one line, cut to `limit` characters with an ellipsis."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def hexadecimal(colour: Colour) -> str:
    """A colour as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def from_hexadecimal(text: str) -> Colour:
    """`#rrggbb` as a colour."""
    red, green, blue = (int(text[place : place + 2], 16) for place in (1, 3, 5))
    return red, green, blue


def in_words(values: Mapping[str, float], shown: Callable[[float], str]) -> str:
    """Class names with their values; with more than eight classes, only the three lowest values and the highest."""
    ranked = sorted(values, key=lambda name: values[name])
    if len(ranked) <= 8:
        return ", ".join(f"{short(name, 40)} {shown(values[name])}" for name in values)
    low = ", ".join(f"{short(name, 40)} {shown(values[name])}" for name in ranked[:3])
    return f"lowest {low}; highest {short(ranked[-1], 40)} {shown(values[ranked[-1]])}"
