"""All that a run's report shows, and writing it: figures/*.png and report.html in the run's folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.figures.examples import Augmented, Example
from segengine.figures.labels import LabelLike
from segengine.figures.series import Rows, best_epoch
from segengine.figures.sheets import augmentation_sheet, prediction_sheet
from segengine.figures.theme import LIGHT, Theme
from segengine.files import write_bytes, write_text
from segengine.report.classes import class_curves
from segengine.report.confusion import confusion_matrix
from segengine.report.curves import curves

Scores = Mapping[str, Any]


@dataclass(frozen=True)
class RunReport:
    """What one run's report is made of; everything but the first five may be absent.

    `rows` are those of metrics.jsonl. `scores` holds one evaluation by split, each shaped like a row's
    "validation"; the headline is about "test" where it is there, else about the first. `confusion` int64 [K, K]
    (rows truth, columns predicted) belongs to that same split. `best` is the epoch whose weights were evaluated.
    `model` is the model in words ("VGG 16 and U-Net"), `training_images` how many it was trained on, `seeds` how
    many seeds its experiment runs, `seconds` the whole run's. `facts` is shown as it is, nested mappings as groups.
    """

    title: str
    variant: str
    seed: int
    status: str
    labels: Sequence[LabelLike]
    rows: Rows = ()
    scores: Mapping[str, Scores] = field(default_factory=dict)
    confusion: NDArray[np.int64] | None = None
    best: int | None = None
    examples: Sequence[Example] = ()
    augmentations: Sequence[Augmented] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    spec: str = ""
    model: str = ""
    message: str = ""
    training_images: int | None = None
    planned_epochs: int | None = None
    seeds: int = 1
    seconds: float | None = None

    @property
    def split(self) -> str | None:
        """The split that the headline is about; None without any scores."""
        return "test" if "test" in self.scores else next(iter(self.scores), None)

    @property
    def marked_epoch(self) -> int | None:
        """The epoch that figures mark as the best."""
        return best_epoch(self.rows) if self.best is None else self.best


def write_run_report(folder: Path, report: RunReport) -> Path:
    """Write figures/*.png and report.html into a run's folder, each file whole or not at all; gives the page's path."""
    from segengine.report.page import run_page

    drawn = dict(figures(report))
    for name, data in drawn.items():
        write_bytes(folder / "figures" / f"{name}.png", data)
    page = folder / "report.html"
    write_text(page, run_page(report, drawn))
    return page


def figures(report: RunReport, theme: Theme = LIGHT) -> Iterator[tuple[str, bytes]]:
    """The name and the PNG of every figure and sheet that the run has something for."""
    yield from charts(report, theme)
    if report.examples:
        yield "predictions", prediction_sheet(report.examples, report.labels, theme=theme)
    if report.augmentations:
        yield "augmentations", augmentation_sheet(report.augmentations, report.labels, theme=theme)


def charts(report: RunReport, theme: Theme = LIGHT) -> Iterator[tuple[str, bytes]]:
    """The name and the PNG of the figures that show numbers."""
    if report.rows:
        yield "curves", curves(report.rows, best=report.marked_epoch, theme=theme)
        if any(row.get("validation") for row in report.rows):
            yield "classes", class_curves(report.rows, report.labels, best=report.marked_epoch, theme=theme)
    if report.confusion is not None:
        yield "confusion", confusion_matrix(report.confusion, report.labels, theme=theme)
