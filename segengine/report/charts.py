"""The charts of one run: training curves, scores per class over the epochs, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from segengine.figures.confusion import confusion_figure
from segengine.figures.figure import Figure, Numbers
from segengine.figures.labels import LabelLike, hexadecimal, in_words
from segengine.figures.lines import Line, LineChart, Panel, thinned
from segengine.figures.numbers import DASH, plural, score
from segengine.figures.scales import shown
from segengine.figures.series import Rows, best_epoch, look_up
from segengine.metrics.names import DEFAULT_METRIC, LABELS, OVERLAPS
from segengine.report.run_report import RunReport

_SERIES: tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...] = (  # panel: name and path of each line
    ("Loss", (("training", ("train_loss",)),)),
    ("Validation score, mean over classes", tuple((LABELS[name], ("validation", "mean", name)) for name in OVERLAPS)),
    ("Learning rate", (("learning rate", ("learning_rate",)),)),
)  # fmt: skip
MOST = 20
"""With more classes, the ten lowest and the ten highest are shown first and the others in a collapsed section."""
_LOGARITHMIC = 30
"""The loss axis is logarithmic if losses span more than this factor."""


def charts(report: RunReport) -> Iterator[Figure]:
    """The figures of a run; those without data are omitted."""
    if report.rows:
        yield curves(report.rows, report.marked_epoch)
        if any(row.get("validation") for row in report.rows):
            yield class_curves(report.rows, report.labels, report.marked_epoch)
    if report.confusion is not None:
        names, colours = [label.name for label in report.labels], [hexadecimal(label.colour) for label in report.labels]
        title = f"Confusion on the {report.split} images"
        yield confusion_figure("confusion", title, report.confusion, names, colours=colours, width=620)


def curves(rows: Rows, best: int | None = None) -> Figure:
    """Loss, mean validation scores and learning rate by epoch; `best` is marked, by default the epoch with the highest Dice."""
    best = best_epoch(rows) if best is None else best
    panels = [
        _panel(title, [_line(rows, name, place, *path) for place, (name, path) in enumerate(lines)])
        for title, lines in _SERIES
    ]
    panels = [panel for panel in panels if any(line.points for line in panel.lines)] or panels[:1]
    columns = [(f"{title.split(',')[0]}: {name}", path) for title, lines in _SERIES for name, path in lines]
    listed = [
        (str(row["epoch"]), *(DASH if (v := look_up(row, path)) is None else f"{v:.4g}" for _, path in columns))
        for row in rows
    ]
    table = Numbers("By epoch", ("epoch", *(name for name, _ in columns)), thinned(listed), words=())
    chart = LineChart(panels, "epoch", marked=_marked(best))
    return Figure("curves", "Training", describe_curves(rows, best), chart.draw, table)


def class_curves(rows: Rows, labels: Sequence[LabelLike], best: int | None = None) -> Figure:
    """Validation scores per class by epoch; with more than 20 classes, the mean, the ten lowest and the ten highest classes."""
    last = {label.name: _last(rows, label.name) for label in labels}
    low, high = extremes([label.name for label in labels], last)
    shown_names = (*low, *high)
    panels = [_class_panel(rows, label, last[label.name]) for label in labels if not low or label.name in shown_names]
    if low:
        panels.sort(key=lambda panel: shown_names.index(panel.title))
        lines = [
            _line(rows, name, place, "validation", "mean", key) for place, (key, name) in enumerate(LABELS.items())
        ]
        panels.insert(0, Panel("mean", lines, 0, 1, height=74, note=score(_mean(rows), 2)))
    chart = LineChart(
        panels, "epoch", columns=(_columns(len(panels)), 2 if len(panels) > 1 else 1), marked=_marked(best)
    )
    listed = [(label.name, *(score(_last(rows, label.name, key)) for key in LABELS)) for label in labels]
    table = Numbers("Last validation scores per class", ("class", *LABELS.values()), tuple(listed))
    return Figure(
        "classes", "Scores per class on the validation images", describe_classes(rows, labels), chart.draw, table
    )


def extremes(names: Sequence[str], scores: Mapping[str, float | None]) -> tuple[list[str], list[str]]:
    """The ten classes with the lowest scores (lowest first) and the ten with the highest (highest first).

    Both are empty if there are at most 20 classes. Classes without a score are in neither.
    """
    if len(names) <= MOST:
        return [], []
    known = [(value, place, name) for place, name in enumerate(names) if (value := scores.get(name)) is not None]
    ranked = [name for _, _, name in sorted(known)]
    low = ranked[: min(MOST // 2, len(ranked) // 2)]
    return low, ranked[len(low) :][::-1][: MOST // 2]


def describe_curves(rows: Rows, best: int | None = None) -> str:
    """Text description of the curves, for screen readers."""
    if not rows:
        return "No curves: no epoch was completed."
    best = best_epoch(rows) if best is None else best
    first, last = (look_up(row, ("train_loss",)) for row in (rows[0], rows[-1]))
    words = f"Curves over {plural(len(rows), 'epoch')}."
    if first is not None and last is not None and len(rows) > 1:
        words += f" The training loss went from {first:.3g} to {last:.3g}."
    scores = {int(row["epoch"]): look_up(row, ("validation", "mean", DEFAULT_METRIC)) for row in rows}
    if best is not None and scores.get(best) is not None:
        words += f" The best epoch is {best}, with a mean validation {LABELS[DEFAULT_METRIC]} of {scores[best]:.3f}."
    return words


def describe_classes(rows: Rows, labels: Sequence[LabelLike]) -> str:
    """Text description of the scores per class, for screen readers."""
    if not any(row.get("validation") for row in rows):
        return "No scores: there was no validation."
    found = {label.name: _last(rows, label.name) for label in labels}
    known = {name: value for name, value in found.items() if value is not None}
    words = f"Scores of {plural(len(labels), 'class', 'classes')} by epoch."
    return words + (f" Last validation Dice: {in_words(known, score)}." if known else "")


def _line(rows: Rows, name: str, place: int, *path: str) -> Line:
    found = ((float(row["epoch"]), look_up(row, path)) for row in rows)
    return Line(name, [(epoch, value) for epoch, value in found if value is not None], place)


def _panel(title: str, lines: list[Line]) -> Panel:
    values = [value for line in lines for _, value in line.points]
    if title != "Loss":
        return Panel(title, lines, 0, None if title == "Learning rate" else 1, 90 if title == "Learning rate" else 190)
    if values and min(values) > 0 and max(values) / min(values) > _LOGARITHMIC:
        return Panel(f"{title} (logarithmic)", lines, height=190, logarithmic=True)
    return Panel(title, lines, 0 if not values or min(values) >= 0 else None, height=190)


def _class_panel(rows: Rows, label: LabelLike, last: float | None) -> Panel:
    path = ("validation", "classes", label.name)
    lines = [_line(rows, name, place, *path, key) for place, (key, name) in enumerate(LABELS.items())]
    return Panel(label.name, lines, 0, 1, height=74, swatch=hexadecimal(label.colour), note=score(last, 2))


def _last(rows: Rows, name: str, key: str = DEFAULT_METRIC) -> float | None:
    return next(
        (v for row in reversed(rows) if (v := look_up(row, ("validation", "classes", name, key))) is not None), None
    )


def _mean(rows: Rows) -> float | None:
    return next(
        (v for row in reversed(rows) if (v := look_up(row, ("validation", "mean", DEFAULT_METRIC))) is not None), None
    )


def _marked(best: int | None) -> tuple[float, str] | None:
    return None if best is None else (float(best), f"best epoch {shown(best)}")


def _columns(number: int) -> int:
    """The number of columns for `number` panels: readable panels, and as few empty cells in the last row as possible."""
    if number <= 3:
        return number
    if number <= 6:
        return 2 if number == 4 else 3
    return min((4, 3), key=lambda columns: -number % columns)
