"""How training went: loss, validation scores and learning rate over the epochs, the best epoch marked."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segengine.figures.numbers import plural
from segengine.figures.series import Rows, best_epoch, epochs, look_up, series
from segengine.figures.theme import LIGHT, Theme, dress, figure, heading, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Line = tuple[str, NDArray[np.float64], str, str]  # name, values, colour, line style


def curves(rows: Rows, *, best: int | None = None, theme: Theme = LIGHT) -> bytes:
    """The curves of one run as PNG; `best` is the marked epoch, the highest validation Dice where not given."""
    best = best_epoch(rows) if best is None else best
    at = epochs(rows)
    panels = _panels(rows, theme)
    heights = [height for _, _, height in panels]
    high = 1.12 * sum(heights) + 0.42 * (len(panels) - 1)  # inches of the panels with the titles between them
    made = figure(8.0, 0.42 + high + 0.5, theme)
    edges = {"left": 0.085, "right": 0.975, "top": 1 - 0.42 / (high + 0.92), "bottom": 0.5 / (high + 0.92)}
    spacing = {"hspace": 0.42 * len(panels) / (1.12 * sum(heights)), "height_ratios": heights}
    every = made.subplots(len(panels), 1, sharex=True, squeeze=False, gridspec_kw={**edges, **spacing})[:, 0]
    for axes, (title, lines, _) in zip(every, panels, strict=True):
        _draw(axes, at, title, lines, theme)
    every[-1].set_xlabel("epoch", fontsize=9, color=theme.muted)
    _epoch_axis(every[-1], at)
    if best is not None:
        for axes in every:
            axes.axvline(best, color=theme.muted, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        _note_best(every[0], best, at, theme)
    return png(made)


def describe_curves(rows: Rows, best: int | None = None) -> str:
    """The curves in words, for readers who can't see them."""
    if not rows:
        return "No epoch was finished, so there are no curves."
    best = best_epoch(rows) if best is None else best
    first, last = (look_up(row, ("train_loss",)) for row in (rows[0], rows[-1]))
    words = f"Curves over {plural(len(rows), 'epoch')}."
    if first is not None and last is not None and len(rows) > 1:
        words += f" The training loss went from {first:.3g} to {last:.3g}."
    scores = {int(row["epoch"]): look_up(row, ("validation", "mean", "dice")) for row in rows}
    if best is not None and scores.get(best) is not None:
        words += f" The best epoch is {best}, with a mean validation Dice of {scores[best]:.3f}."
    return words


def _panels(rows: Rows, theme: Theme) -> list[tuple[str, list[Line], float]]:
    """Title, lines and relative height of each panel that has something to show."""
    loss: list[Line] = [
        ("training", series(rows, "train_loss"), theme.blue, "-"),
        ("validation", series(rows, "validation", "loss"), theme.orange, "--"),
    ]
    mean: list[Line] = [
        ("Dice", series(rows, "validation", "mean", "dice"), theme.green, "-"),
        ("IoU", series(rows, "validation", "mean", "iou"), theme.pink, "--"),
    ]
    rate: list[Line] = [("learning rate", series(rows, "learning_rate"), theme.ink, "-")]
    panels = [
        ("Loss", loss, 2.0),
        ("Validation score, mean over classes", mean, 2.0),
        ("Learning rate", rate, 1.0),
    ]
    kept = [(title, [line for line in lines if not np.isnan(line[1]).all()], high) for title, lines, high in panels]
    return [panel for panel in kept if panel[1]] or [("Loss", [], 2.0)]


def _draw(axes: "Axes", at: NDArray[np.float64], title: str, lines: list[Line], theme: Theme) -> None:
    dress(axes, theme)
    heading(axes, title, theme)
    for name, values, colour, style in lines:
        known = ~np.isnan(values)
        few = known.sum() <= 12
        axes.plot(
            at[known],
            values[known],
            style,
            color=colour,
            linewidth=1.8,
            label=name,
            marker="o" if few else "",
            markersize=4,
            markeredgewidth=0,
        )
    if not lines:
        axes.text(0.5, 0.5, "no epoch was finished", transform=axes.transAxes, ha="center", color=theme.muted)
        axes.set_yticks([])
        axes.grid(False)
    if title == "Learning rate":
        axes.yaxis.set_major_formatter(lambda value, _: _short_power(value))
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="y", nbins=4, steps=[1, 2, 5, 10])
    elif title != "Loss":
        axes.set_ylim(0, 1)
    elif lines:
        _loss_scale(axes, lines)
    if len(lines) > 1:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=len(lines),
            frameon=False,
            fontsize=8.5,
            labelcolor=theme.ink,
            handlelength=2.2,
            borderaxespad=0.2,
        )


def _short_power(value: float) -> str:
    """A learning rate as one writes it: 0, 3e-4, 0.01."""
    if value == 0:
        return "0"
    return f"{value:g}" if value >= 0.001 else f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")


def _loss_scale(axes: "Axes", lines: list[Line]) -> None:
    """Logarithmic where the losses are positive and span more than a factor of thirty, else from zero."""
    values = np.concatenate([line[1] for line in lines])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low > 0 and high / low > 30:
        axes.set_yscale("log")
    elif low >= 0:
        axes.set_ylim(0, high * 1.08 if high > 0 else 1)


def _epoch_axis(axes: "Axes", at: NDArray[np.float64]) -> None:
    """Whole epochs only; a single one stands in the middle."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    first, last = (float(at.min()), float(at.max())) if at.size else (1.0, 1.0)
    room = max(0.02 * (last - first), 0.5 if last == first else 0.0)
    axes.set_xlim(first - room, last + room)


def _note_best(axes: "Axes", best: int, at: NDArray[np.float64], theme: Theme) -> None:
    left = at.size > 1 and best > (at.min() + at.max()) / 2
    axes.annotate(
        f"best epoch {best}",
        (best, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if left else 6, -4),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        fontsize=8.5,
        color=theme.muted,
    )
