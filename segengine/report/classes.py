"""Each class over the epochs: Dice, IoU, precision and recall on the validation images, one small panel a class."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segengine.figures.labels import LabelLike, hexadecimal, in_words, short
from segengine.figures.numbers import DASH, plural, score
from segengine.figures.series import Rows, epochs, look_up, series
from segengine.figures.theme import LIGHT, Theme, dress, figure, literal, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = ("precision", "recall", "iou", "dice")  # drawn in this order, the leading one on top


def class_curves(rows: Rows, labels: Sequence[LabelLike], *, best: int | None = None, theme: Theme = LIGHT) -> bytes:
    """Per-class validation scores over the epochs as small multiples on one scale 0..1, as PNG."""
    number = max(len(labels), 1)
    columns = _columns(number)
    lines = math.ceil(number / columns)
    width, head, foot, high = 8.0, 0.62, 0.5, 1.55 if columns > 3 else 2.0
    made = figure(width, head + foot + lines * high, theme)
    total = head + foot + lines * high
    grid = made.subplots(
        lines,
        columns,
        sharex=True,
        sharey=True,
        squeeze=False,
        gridspec_kw={
            "left": 0.055,
            "right": 0.985,
            "top": 1 - (head + 0.12) / total,
            "bottom": foot / total,
            "hspace": 0.46,
            "wspace": 0.14,
        },
    )
    at = epochs(rows)
    for place, axes in enumerate(grid.flat):
        if place >= len(labels):
            axes.remove()
            continue
        _panel(axes, rows, labels[place], columns, theme)
        if best is not None:
            axes.axvline(best, color=theme.muted, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        # Panels above an empty place end their column: they carry the epochs.
        ends_column = place + columns >= len(labels)
        axes.tick_params(labelbottom=ends_column)
        if ends_column:
            axes.set_xlabel("epoch", fontsize=8, color=theme.muted, labelpad=2)
    _scale(grid[0, 0], at)
    _legend(made, theme, head / total)
    return png(made)


def describe_classes(rows: Rows, labels: Sequence[LabelLike]) -> str:
    """The last validation Dice of each class, in words."""
    last = next((row for row in reversed(rows) if row.get("validation")), None)
    if last is None:
        return "There was no validation, so there are no scores over the epochs."
    found = {label.name: look_up(last, ("validation", "classes", label.name, "dice")) for label in labels}
    known = {name: value for name, value in found.items() if value is not None}
    words = f"Scores of {plural(len(labels), 'class', 'classes')} over the epochs."
    return words + (f" Validation Dice in epoch {last['epoch']}: {in_words(known, score)}." if known else "")


def _columns(number: int) -> int:
    """As many columns as leave a panel readable and the last row the fullest."""
    if number <= 3:
        return number
    if number <= 6:
        return 2 if number == 4 else 3
    choices = (4, 5, 3) if number <= 9 else (4, 5)
    return min(choices, key=lambda columns: -number % columns)


def _panel(axes: "Axes", rows: Rows, label: LabelLike, columns: int, theme: Theme) -> None:
    dress(axes, theme)
    axes.tick_params(labelsize=7.5, pad=3)
    _title(axes, label, columns, theme)
    at, drawn = epochs(rows), False
    for metric in METRICS:
        values = series(rows, "validation", "classes", label.name, metric)
        known = ~np.isnan(values)
        if not known.any():
            continue
        drawn = True
        axes.plot(
            at[known], values[known], **_style(metric, theme), marker="o" if known.sum() <= 8 else "", markersize=3
        )
    last = series(rows, "validation", "classes", label.name, "dice")
    last = last[~np.isnan(last)]
    axes.set_title(
        score(last[-1], 2) if last.size else DASH,
        loc="right",
        fontsize=8.5,
        pad=6,
        weight="bold",
        color=theme.green if last.size else theme.muted,
    )
    if not drawn:
        middle: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "color": theme.muted}
        axes.text(0.5, 0.5, "no pixel, no score", transform=axes.transAxes, **middle)


def _title(axes: "Axes", label: LabelLike, columns: int, theme: Theme) -> None:
    """The class's name, a square of its colour before it."""
    from matplotlib.transforms import ScaledTranslation

    scale = axes.get_figure(root=True).dpi_scale_trans  # type: ignore[union-attr]
    square = axes.transAxes + ScaledTranslation(4.5 / 72, 9 / 72, scale)
    colour = hexadecimal(label.colour)
    axes.scatter(
        [0],
        [1],
        s=34,
        marker="s",
        color=colour,
        edgecolors=theme.muted,
        linewidths=0.6,
        transform=square,
        clip_on=False,
    )
    name = axes.annotate(
        "", (0, 1), xycoords="axes fraction", xytext=(13, 6), textcoords="offset points", fontsize=8.5, weight="bold"
    )
    name.set_color(theme.ink)
    literal(name, short(label.name, (14, 14, 40, 26, 18, 14)[columns]))


def _style(metric: str, theme: Theme) -> dict[str, Any]:
    """Colour, dash and weight of a metric: told apart in gray print too."""
    return {
        "dice": {"color": theme.green, "linewidth": 2.0, "linestyle": "-"},
        "iou": {"color": theme.pink, "linewidth": 1.5, "linestyle": (0, (5, 1.5))},
        "precision": {"color": theme.blue, "linewidth": 1.2, "linestyle": (0, (1.2, 1.2))},
        "recall": {"color": theme.orange, "linewidth": 1.2, "linestyle": (0, (4, 1.2, 1, 1.2))},
    }[metric]


def _scale(axes: "Axes", at: NDArray[np.float64]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.5, 1.0], ["0", "½", "1"])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    first, last = (float(at.min()), float(at.max())) if at.size else (1.0, 1.0)
    room = 0.5 if first == last else 0.03 * (last - first)
    axes.set_xlim(first - room, last + room)


def _legend(made: "Figure", theme: Theme, head: float) -> None:
    from matplotlib.lines import Line2D

    names = {"dice": "Dice (last value top right)", "iou": "IoU", "precision": "precision", "recall": "recall"}
    handles = [Line2D([], [], label=names[metric], **_style(metric, theme)) for metric in reversed(METRICS)]
    made.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(0.045, 1 - head * 0.36),
        ncols=4,
        frameon=False,
        fontsize=8.5,
        labelcolor=theme.ink,
        handlelength=2.8,
        columnspacing=1.8,
    )
