"""Scores of classes by variant as a heat map."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.comparison.judge import Judged
from segengine.comparison.measures import HOW
from segengine.comparison.table import Table
from segengine.figures.figure import NARROW, Figure
from segengine.figures.palette import heat
from segengine.figures.svg import Drawing, Mark, fitting, group, mark, rect, text, text_width

_LONGEST_TURNED = 110.0


def heat_figure(judged: Judged, table: Table) -> Figure:
    """Classes down, variants across (the best first), and their means last; `table` holds the numbers."""
    comparison, word, sign = judged.comparison, judged.word, judged.measure.sign
    tables = [judged.tables[i] for i in judged.ranked]
    names = [judged.names[i] for i in judged.ranked]
    rows = [
        (facts.name + ("" if facts.averaged else " *"), [t.classes[k].mean for t in tables])
        for k, facts in enumerate(comparison.classes)
    ]
    rows.append((f"mean {word}", [t.mean.mean for t in tables]))
    left_out = any(not facts.averaged for facts in comparison.classes)

    def draw(width: float) -> Drawing:
        return _map(rows, names, width, sign)

    worst = [
        (min(sign * v for v in values if v is not None), name)
        for name, values in rows[:-1]
        if any(v is not None for v in values)
    ]
    said = (
        f" Hardest: {min(worst)[1]} with {sign * min(worst)[0]:.3f} at the {'lowest' if sign > 0 else 'highest'}."
        if worst
        else ""
    )
    stronger = "higher" if sign > 0 else "lower, and better"
    starred = " A star marks classes outside the mean." if left_out else ""
    described = (
        f"{word}{judged.measure.in_unit} of {len(rows) - 1} classes for {len(names)} variants; the stronger the colour, "
        f"the {stronger}.{said}{starred}"
    )
    narrow = max(NARROW, 150.0 + 46 * len(names))
    return Figure("classes", f"{word}{judged.measure.in_unit} by class, {HOW[judged.kind]}", described, draw, table,
                  width=max(min(860.0, 220.0 + 130 * len(names)), 220.0 + 52 * len(names)), narrow=narrow)  # fmt: skip


def _map(rows: Sequence[tuple[str, Sequence[float | None]]], names: Sequence[str], width: float, sign: int) -> Drawing:
    label = min(max(text_width(name, 13) for name, _ in rows) + 14, 200.0 if width >= 600 else width * 0.34)
    cell, high = (width - label) / len(names), 34.0
    turned = max(text_width(name, 12) for name in names) > cell - 8
    heads = [fitting(name, 12, _LONGEST_TURNED if turned else cell - 4) for name in names]
    lean = 0.72 * max(text_width(head, 12) for head in heads)
    if turned:  # the last name leans out to the right
        cell = min(cell, (width - label - lean) / (len(names) - 0.5))
    top = 26.0 if not turned else lean + 22
    known = [value for _, values in rows for value in values if value is not None]
    low, span = min(known, default=0.0), max(max(known, default=1.0) - min(known, default=0.0), 1e-9)
    marks: list[Mark] = []
    for column, said in enumerate(heads):
        x = label + cell * (column + 0.5)
        marks.append(
            text(x, top - 9, said, size=12, turned=-45) if turned else text(x, top - 9, said, size=12, anchor="middle")
        )
    for place, (name, values) in enumerate(rows):
        last = place == len(rows) - 1
        y = top + high * place + (6 if last else 0)
        marks.append(text(label - 10, y + 21, fitting(name, 13, label - 12), size=13, anchor="end", bold=last))
        for column, value in enumerate(values):
            share = None if value is None else (value - low if sign > 0 else low + span - value) / span
            marks.append(_cell((label + cell * column, y, cell, high), value, share, f"{names[column]}, {name}"))
    return Drawing(width, top + high * len(rows) + 10, tuple(marks))


def _cell(box: tuple[float, float, float, float], value: float | None, share: float | None, what: str) -> Mark:
    x, y, width, height = box
    ground, ink = ("panel", "muted") if share is None else heat(share)
    said = "–" if value is None else f"{value:.3f}" if width >= 42 else f"{value:.2f}".removeprefix("0")
    return group(
        mark("title", f"{what}: {said}"), rect(x + 1, y + 1, width - 2, height - 2, ground, rx=3),
        text(x + width / 2, y + 21, said, role=ink, size=12.5 if width >= 42 else 10.5, anchor="middle"),
    )  # fmt: skip
