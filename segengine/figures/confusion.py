"""Row-normalised confusion matrix: the fraction of each class's true pixels that was predicted as each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segengine.figures.cells import Cell, Grid
from segengine.figures.figure import HALF, WIDE, Figure, Numbers
from segengine.figures.labels import in_words, short
from segengine.figures.numbers import compact, plural, row_shares
from segengine.figures.svg import Drawing

ROOMY, FULL, NARROW_FULL = 8, 20, 7
"""Maximum number of classes for a small figure, for a complete matrix, and for a complete matrix on narrow screens."""
OTHER = "other classes"
Counts = NDArray[np.int64]
Shares = NDArray[np.float64]


def confusion_figure(
    name: str, title: str, counts: Counts, classes: Sequence[str], *, heading: str = "", colours: Sequence[str] = (),
    width: float = HALF,
) -> Figure:  # fmt: skip
    """The figure of a confusion matrix, with its table.

    With more than 20 classes (7 on narrow screens), the most confused ones are drawn and the others are merged into one column.

    Args:
        counts: int64 [K, K], pixels; rows are true classes, columns predicted ones.
        colours: `#rrggbb` per class.
        width: width of the figure for at most 8 classes, in drawing units.
    """
    shares = row_shares(counts)

    def draw(wide: float) -> Drawing:
        rows = _most_confused(shares, FULL if wide >= HALF else NARROW_FULL)
        return _grid(shares, counts, classes, rows, colours=colours, heading=heading).draw(wide)

    table = (_main_mistakes if len(classes) > FULL else _matrix)(shares, counts, classes)
    wide = width if len(classes) <= ROOMY else min(WIDE, max(600.0, HALF + 20.0 * len(classes)))
    return Figure(name, title, describe_confusion(counts, classes), draw, table, wide)


def _grid(
    shares: Shares, counts: Counts, classes: Sequence[str], rows: list[int], *, colours: Sequence[str], heading: str
) -> Grid:
    rest = [j for j in range(len(classes)) if j not in rows]
    cells = []
    for k in rows:
        row = [_cell(float(shares[k, j]), int(counts[k, j]), f"{classes[k]} as {classes[j]}") for j in rows]
        if rest:
            row.append(_cell(float(shares[k, rest].sum()), int(counts[k, rest].sum()), f"{classes[k]} as {OTHER}"))
        cells.append(row)
    foot = ["rows: truth, columns: prediction; % of the row"]
    if rest:
        foot.append(f"the {len(rows)} most confused of {len(classes)} classes")
    totals = [int(counts[k].sum()) for k in rows]
    return Grid(
        [classes[k] for k in rows], [classes[k] for k in rows] + ([OTHER] if rest else []), cells, heading, foot,
        aside=[compact(total) if total else "none" for total in totals], swatches=[colours[k] for k in rows] if colours else (),
        cell_height=46.0 if len(classes) <= ROOMY else 30.0, widest=84.0,
    )  # fmt: skip


def describe_confusion(counts: Counts, classes: Sequence[str]) -> str:
    """Text description of the matrix: recall per class and the largest confusion."""
    shares = np.nan_to_num(row_shares(counts))
    found = {name: shares[k, k] for k, name in enumerate(classes) if counts[k].sum() > 0}
    words = f"Confusion matrix of {plural(len(classes), 'class', 'classes')}."
    if found:
        words += f" Recall: {in_words(found, lambda share: f'{100 * share:.0f} %')}."
    errors = shares.copy()
    np.fill_diagonal(errors, 0)
    if errors.size and errors.max() > 0:
        true, given = divmod(int(errors.argmax()), len(classes))
        mistaken = (
            f"{100 * errors.max():.1f} % of {short(classes[true], 40)} was predicted as {short(classes[given], 40)}"
        )
        words += f" Largest confusion: {mistaken}."
    return words


def _most_confused(shares: Shares, most: int) -> list[int]:
    """Indices of at most `most` classes, those with the largest confusions, ascending."""
    if len(shares) <= most:
        return list(range(len(shares)))
    errors = np.nan_to_num(shares)
    np.fill_diagonal(errors, 0)
    kept: dict[int, None] = {}
    for place in np.argsort(-errors, axis=None, kind="stable"):
        pair = [k for k in dict.fromkeys(divmod(int(place), len(shares))) if k not in kept]
        if len(kept) + len(pair) > most or errors.flat[place] == 0:
            break
        kept |= dict.fromkeys(pair)
    return sorted(kept) or list(range(most))


def _cell(share: float, pixels: int, about: str) -> Cell:
    if np.isnan(share):
        return Cell(None, "–", f"{about}: no true pixel")
    label = percent(share)
    # The square root keeps errors of a few percent visible beside the diagonal.
    return Cell(share**0.5, label, f"{about}: {label} %, {pixels:,} pixels", compact(pixels))


def percent(share: float) -> str:
    """A fraction as percent with one decimal; only exactly 0 and 1 are shown as 0 and 100."""
    if share in (0, 1):
        return f"{100 * share:.0f}"
    return "<0.1" if share < 0.0005 else f"{min(100 * share, 99.9):.1f}"


def _matrix(shares: Shares, counts: Counts, classes: Sequence[str]) -> Numbers:
    rows = tuple(
        (name, *("–" if np.isnan(s) else f"{100 * s:.1f} %" for s in shares[k]), f"{int(counts[k].sum()):,}")
        for k, name in enumerate(classes)
    )
    caption = "Rows: truth, columns: prediction; percent of the row"
    return Numbers(caption, ("truth", *classes, "true pixels"), rows)


def _main_mistakes(shares: Shares, counts: Counts, classes: Sequence[str]) -> Numbers:
    """For many classes: recall and the most frequent wrong prediction per class, instead of the matrix."""
    rows = []
    for k in np.flatnonzero(counts.sum(axis=1)).tolist():
        errors = shares[k].copy()
        errors[k] = 0.0
        taken = int(errors.argmax())
        mistake = classes[taken] if errors[taken] > 0 else "–"
        pixels = f"{int(counts[k].sum()):,}"
        rows.append((classes[k], f"{100 * shares[k, k]:.1f} %", mistake, f"{100 * errors[taken]:.1f} %", pixels))
    header = ("class", "recall", "most frequent wrong prediction", "share of true pixels", "true pixels")
    return Numbers("Recall and most frequent wrong prediction per class", header, tuple(rows), (0, 2))
