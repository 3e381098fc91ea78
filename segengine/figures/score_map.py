"""Heat map of scores by class and variant."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.figures.cells import Cell, Grid
from segengine.figures.figure import NARROW, Figure

Row = tuple[str, Sequence[float | None]]


def score_map(
    title: str, rows: Sequence[Row], names: Sequence[str], *, sign: int = 1, starred: bool = False, table: object = None
) -> Figure:
    """Heat map with classes in rows and variants in columns; a stronger colour is a better score.

    Args:
        rows: name and score per variant (None: undefined); the last row has the means.
        names: names of the variants.
        sign: -1 if lower is better.
        starred: whether the description explains that a star marks classes outside the mean.
        table: the values as a table that the page can render.
    """
    known = [value for _, values in rows for value in values if value is not None]
    low, span = min(known, default=0.0), max(max(known, default=1.0) - min(known, default=0.0), 1e-9)

    def cell(about: str, value: float | None) -> Cell:
        if value is None:
            return Cell(None, "–", f"{about}: –")
        return Cell((value - low if sign > 0 else low + span - value) / span, f"{value:.3f}", f"{about}: {value:.3f}")

    cells = [[cell(f"{name}, {label}", v) for name, v in zip(names, values, strict=True)] for label, values in rows]
    grid = Grid([label for label, _ in rows], names, cells, apart=True)
    worst = [(sign * v, label) for label, values in rows[:-1] for v in values if v is not None]
    hardest = (
        f" {'Lowest' if sign > 0 else 'Highest'} score: {min(worst)[1]} with {sign * min(worst)[0]:.3f}."
        if worst
        else ""
    )
    described = (
        f"{title}: {len(rows) - 1} classes, {len(names)} variants; a stronger colour is a "
        f"{'higher' if sign > 0 else 'lower (better)'} score.{hardest}{' A star marks classes outside the mean.' if starred else ''}"
    )
    wide = max(min(860.0, 220.0 + 130 * len(names)), 220.0 + 52 * len(names))
    return Figure("classes", title, described, grid.draw, table, wide, max(NARROW, 150.0 + 46 * len(names)))
