"""Each variant's confusion matrix: of a class's true pixels, the share that was given to each class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.judge import Judged
from segengine.comparison.table import Table, named, numeric, table_of
from segengine.figures.figure import HALF, NARROW, WIDE, Figure
from segengine.figures.numbers import row_shares
from segengine.figures.palette import heat
from segengine.figures.svg import Drawing, Mark, fitting, group, mark, rect, text, text_width

MOST = 6
_LONGEST_TURNED = 96.0
ROOMY, FULL = 8, 20
"""Up to so many classes a small figure does; up to so many its table holds the whole matrix."""
Shares = NDArray[np.float64]


def confusion_figures(judged: Judged) -> list[Figure]:
    """Of the MOST best variants, summed over images and seeds; none of a metric that isn't from counts."""
    if judged.confusions is None:
        return []
    return [_figure(judged, judged.confusions[i], place, i) for place, i in enumerate(judged.ranked[:MOST], start=1)]


def _figure(judged: Judged, counts: NDArray[np.int64], place: int, i: int) -> Figure:
    classes, name = judged.classes, judged.names[i]
    shares = row_shares(counts)
    found = ", ".join(f"{c} {100 * shares[k, k]:.0f} %" for k, c in enumerate(classes) if not np.isnan(shares[k, k]))
    errors = np.nan_to_num(shares)
    np.fill_diagonal(errors, 0)
    true, given = divmod(int(errors.argmax()), len(classes))
    most = (
        f" Most often mistaken: {100 * errors.max():.1f} % of {classes[true]} for {classes[given]}."
        if errors.max() > 0
        else ""
    )
    roomy, count = len(classes) <= ROOMY, len(classes)
    return Figure(
        f"confusion-{place}", f"Confusion of {name}", f"Found of the true pixels: {found}.{most}", _drawing(name, shares, classes),
        _matrix(name, shares, counts, judged, place) if count <= FULL else _main_mistakes(name, shares, counts, judged, place),
        HALF if roomy else max(WIDE, 240.0 + 16 * count), NARROW if roomy else max(NARROW, 100.0 + 16 * count),
    )  # fmt: skip


def _matrix(name: str, shares: Shares, counts: NDArray[np.int64], judged: Judged, place: int) -> Table:
    rows = [
        [named(c), *(numeric(s, "–" if np.isnan(s) else f"{100 * s:.1f} %") for s in map(float, shares[k])),
         numeric(int(counts[k].sum()), f"{int(counts[k].sum()):,}")]
        for k, c in enumerate(judged.classes)
    ]  # fmt: skip
    caption = f"Confusion of {name}: truth in rows, prediction in columns, percent of the row"
    return table_of(f"confusion-{place}", caption, ("truth", *judged.classes, "true pixels"), rows)


def _main_mistakes(name: str, shares: Shares, counts: NDArray[np.int64], judged: Judged, place: int) -> Table:
    """Of many classes only how much of each was found, and what it was most often taken for."""
    rows = []
    for k in np.flatnonzero(counts.sum(axis=1)).tolist():
        errors = shares[k].copy()
        found, errors[k] = float(errors[k]), 0.0
        taken = int(errors.argmax())
        mistake = judged.classes[taken] if errors[taken] > 0 else "–"
        share, pixels = float(errors[taken]), int(counts[k].sum())
        numbers = (numeric(share, f"{100 * share:.1f} %"), numeric(pixels, f"{pixels:,}"))
        rows.append([named(judged.classes[k]), numeric(found, f"{100 * found:.1f} %"), named(mistake), *numbers])
    header = ("truth", "found", "most often taken for", "share", "true pixels")
    caption = f"Confusion of {name}: what was found of each class, and what it was most often taken for"
    return table_of(f"confusion-{place}", caption, header, rows, text_columns=(0, 2))


def _drawing(name: str, shares: Shares, classes: tuple[str, ...]) -> Callable[[float], Drawing]:
    def draw(width: float) -> Drawing:
        number = len(classes)
        label = min(max(text_width(c, 12) for c in classes) + 16, (0.36 if number <= ROOMY else 0.28) * width)
        cell = min((width - label - 8) / number, 84.0)
        turned = max(text_width(c, 11.5) for c in classes) > cell - 4
        heads = [fitting(c, 11.5, _LONGEST_TURNED if turned else cell - 2) for c in classes]
        lean = 0.72 * max(text_width(head, 11.5) for head in heads)
        if turned:  # the last name leans out to the right
            cell = min(cell, (width - label - lean) / (number - 0.5))
        high = min(cell, 46.0)
        top = 46.0 if not turned else 40 + lean
        marks: list[Mark] = [text(4, 15, fitting(name, 13.5, width - 8, bold=True), size=13.5, bold=True)]
        for k, c in enumerate(classes):
            x, said = label + cell * (k + 0.5), heads[k]
            marks.append(text(x, top - 7, said, role="muted", size=11.5, turned=-45) if turned
                         else text(x, top - 7, said, role="muted", size=11.5, anchor="middle"))  # fmt: skip
            marks.append(text(label - 8, top + high * (k + 0.5) + 4, fitting(c, 12, label - 10), size=12, anchor="end"))
        marks.append(rect(label, top, cell * number, high * number, "panel"))
        few = number <= FULL
        for (row, column), share in np.ndenumerate(shares):
            if np.isnan(share) or (share == 0 and not few):
                continue
            box = (label + cell * column, top + high * row, cell, high)
            marks.append(_cell(box, float(share), f"{classes[row]} as {classes[column]}"))
        foot, said = top + high * number + 20, "rows truth, columns prediction; % of the row"
        start = max(4.0, min(label, width - 4 - text_width(said, 11.5)))
        marks.append(text(start, foot, said, role="muted", size=11.5))
        return Drawing(width, foot + 8, tuple(marks))

    return draw


def _cell(box: tuple[float, float, float, float], share: float, what: str) -> Mark:
    x, y, width, high = box
    # Square root: errors of a few percent are what the reader looks for, and stay visible beside the diagonal.
    ground, ink = heat(share**0.5)
    said = _percent(share)
    room = width >= 8 * len(said) + 2
    words = (
        [text(x + width / 2, y + high / 2 + 4, said, role=ink, size=12 if width >= 40 else 10, anchor="middle")]
        if room
        else []
    )
    gap = 1.0 if width > 16 else 0.5
    ground_ = rect(x + gap, y + gap, width - 2 * gap, high - 2 * gap, ground, rx=gap)
    return group(mark("title", f"{what}: {said} %"), ground_, *words)


def _percent(share: float) -> str:
    if share in (0, 1):
        return f"{100 * share:.0f}"
    return "<0.1" if share < 0.0005 else f"{min(100 * share, 99.9):.1f}"
