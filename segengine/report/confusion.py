"""The confusion matrix: of each class's true pixels, the share that was given to each class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segengine.figures.labels import LabelLike, hexadecimal, in_words, short
from segengine.figures.numbers import compact, plural, row_shares
from segengine.figures.theme import LIGHT, Theme, figure, literal, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.transforms import Transform

ROOMY = 9  # up to so many classes a cell holds its count too


def confusion_matrix(confusion: NDArray[np.int64], labels: Sequence[LabelLike], *, theme: Theme = LIGHT) -> bytes:
    """A confusion matrix int64 [K, K] (rows truth, columns predicted) as PNG, shares of each row in percent.

    Few classes: share and count in every cell. Many: shares of at least half a percent, counts by row.
    """
    number = len(labels)
    assert confusion.shape == (number, number), (confusion.shape, number)
    cell = min(0.95, max(0.36, 5.2 / number))
    names = _names_inches(labels)
    left, right, top = names, 0.75, 0.72
    bottom = 0.62 if _flat(labels) else 0.2 + 0.71 * names
    width, height = max(left + right + cell * number, 5.0), top + bottom + cell * number
    made = figure(width, height, theme)
    axes = made.add_axes((left / width, bottom / height, cell * number / width, cell * number / height))
    shares = row_shares(confusion)
    colours = _ramp(theme)
    # Square root: errors of a few percent are what the reader looks for, and stay visible beside the diagonal.
    axes.imshow(np.sqrt(np.nan_to_num(shares)), cmap=colours, vmin=0, vmax=1, aspect="auto")
    _hatch_empty_rows(axes, confusion, theme)
    _cells(axes, confusion, shares, colours, cell=cell, theme=theme)
    _frame(axes, confusion, labels, theme)
    note = "truth in rows, prediction in columns; percent of the row" + (", pixels" if number <= ROOMY else "")
    made.text(
        0.12 / width, 1 - 0.22 / height, "Confusion matrix", fontsize=10, weight="bold", color=theme.ink, va="center"
    )
    made.text(0.12 / width, 1 - 0.42 / height, note, fontsize=8.5, color=theme.muted, va="center")
    return png(made)


def describe_confusion(confusion: NDArray[np.int64], labels: Sequence[LabelLike]) -> str:
    """The matrix in words: how much of each class was found, and the largest confusion."""
    shares = np.nan_to_num(row_shares(confusion))
    found = {label.name: shares[k, k] for k, label in enumerate(labels) if confusion[k].sum() > 0}
    words = f"Confusion matrix of {plural(len(labels), 'class', 'classes')}."
    if found:
        words += f" Found of the true pixels: {in_words(found, lambda share: f'{100 * share:.0f} %')}."
    errors = shares.copy()
    np.fill_diagonal(errors, 0)
    if errors.size and errors.max() > 0:
        true, given = divmod(int(errors.argmax()), len(labels))
        words += (
            f" Most often mistaken: {100 * errors.max():.1f} % of {short(labels[true].name, 40)}"
            f" was predicted as {short(labels[given].name, 40)}."
        )
    return words


def _names_inches(labels: Sequence[LabelLike]) -> float:
    return 0.42 + 0.078 * max(len(short(label.name, 20)) for label in labels)


def _ramp(theme: Theme) -> "Colormap":
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(theme.name, list(theme.ramp))


def _cells(
    axes: "Axes",
    confusion: NDArray[np.int64],
    shares: NDArray[np.float64],
    colours: "Colormap",
    *,
    cell: float,
    theme: Theme,
) -> None:
    """Write the shares, and where there is room the counts, dark on light and light on dark."""
    roomy = len(confusion) <= ROOMY
    size = min(10.5, max(6.2, 15 * cell))
    for (row, column), share in np.ndenumerate(shares):
        if np.isnan(share) or (not roomy and share < 0.005):
            continue
        red, green, blue, _ = colours(float(np.sqrt(share)))
        ink = "#10151a" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.45 else "#ffffff"
        if share < 0.0005:
            ink = theme.muted
        percent = _percent(share, roomy)
        if not roomy:
            axes.text(column, row, percent, ha="center", va="center", fontsize=size, color=ink)
            continue
        axes.text(column, row - 0.1, percent, ha="center", va="center", fontsize=size, color=ink)
        pixels = compact(int(confusion[row, column]))
        axes.text(column, row + 0.24, pixels, ha="center", va="center", fontsize=size * 0.72, color=ink, alpha=0.85)


def _percent(share: float, roomy: bool) -> str:
    if not roomy:
        return f"{100 * share:.0f}"
    if share == 0:
        return "0"
    if share < 0.0005:
        return "<0.1"
    # Never round up to a perfect 100: one wrong pixel is a wrong pixel.
    return "100" if share == 1 else f"{min(100 * share, 99.9):.1f}"


def _hatch_empty_rows(axes: "Axes", confusion: NDArray[np.int64], theme: Theme) -> None:
    from matplotlib.patches import Rectangle

    number = len(confusion)
    for row in np.flatnonzero(confusion.sum(axis=1) == 0):
        axes.add_patch(
            Rectangle(
                (-0.5, row - 0.5), number, 1, facecolor=theme.panel, edgecolor=theme.grid, hatch="////", linewidth=0
            )
        )


def _frame(axes: "Axes", confusion: NDArray[np.int64], labels: Sequence[LabelLike], theme: Theme) -> None:
    """Lines between the cells; outside them the classes with their colours, and the pixels of each row."""
    number = len(labels)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xticks(np.arange(number + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(number + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=theme.ground, linewidth=1.6 if number <= ROOMY else 0.8)
    axes.tick_params(which="both", length=0)
    axes.set_xticks(range(number), [""] * number)
    axes.set_yticks(range(number), [""] * number)
    totals = confusion.sum(axis=1)
    size = 9.5 if number <= ROOMY else 8
    right = _beside(axes, "row", 7)
    for place, label in enumerate(labels):
        ink = theme.ink if totals[place] else theme.muted
        _name(axes, place, label, ink=ink, size=size, flat=_flat(labels), theme=theme)
        total = compact(int(totals[place])) if totals[place] else "none"
        axes.text(1, place, total, transform=right, va="center", fontsize=size * 0.9, color=theme.muted)
    axes.text(1, -0.5, "pixels", transform=right, va="bottom", fontsize=size * 0.9, color=theme.muted)


def _name(axes: "Axes", place: int, label: LabelLike, *, ink: str, size: float, flat: bool, theme: Theme) -> None:
    """One class left of its row and below its column, a square of its colour before the name."""
    colour, name, roomy = hexadecimal(label.colour), short(label.name, 20), len(axes.get_xticks()) <= ROOMY
    square: dict[str, Any] = {
        "s": 38 if roomy else 24,
        "marker": "s",
        "color": colour,
        "edgecolors": theme.muted,
        "linewidths": 0.6,
        "clip_on": False,
    }
    axes.scatter([0], [place], transform=_beside(axes, "row", -9), **square)
    axes.scatter([place], [0], transform=_beside(axes, "column", -9), **square)
    text: dict[str, Any] = {"fontsize": size, "color": ink}
    literal(axes.text(0, place, "", ha="right", va="center", transform=_beside(axes, "row", -17), **text), name)
    under = _beside(axes, "column", -17)
    if flat:
        literal(axes.text(place, 0, "", ha="center", va="top", transform=under, **text), name)
    else:
        turned = axes.text(
            place, 0, "", ha="right", va="top", rotation=45, rotation_mode="anchor", transform=under, **text
        )
        literal(turned, name)


def _flat(labels: Sequence[LabelLike]) -> bool:
    """Whether the columns are wide enough for names that aren't turned."""
    return len(labels) <= 2 and all(len(short(label.name, 20)) <= 12 for label in labels)


def _beside(axes: "Axes", along: str, points: float) -> "Transform":
    """Data along rows or columns, the axes' edge across, moved outwards by points."""
    from matplotlib.transforms import ScaledTranslation

    inches = points / 72
    scale = axes.get_figure(root=True).dpi_scale_trans  # type: ignore[union-attr]
    if along == "row":
        return axes.get_yaxis_transform() + ScaledTranslation(inches, 0, scale)
    return axes.get_xaxis_transform() + ScaledTranslation(0, inches, scale)
