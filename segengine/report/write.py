"""Writes a run's report: the page and the figure files."""

from __future__ import annotations

from pathlib import Path

from segengine.figures.sheets import augmentation_sheet, prediction_sheet
from segengine.files import write_bytes, write_text
from segengine.report.charts import charts
from segengine.report.page import run_page
from segengine.report.run_report import RunReport
from segengine.runs import names


def write_run_report(folder: Path, report: RunReport) -> Path:
    """Write the page and the figures into a run's folder, each file atomically; returns the path of the page."""
    figures = list(charts(report))
    page = folder / names.REPORT
    write_text(page, run_page(report, figures))
    for figure in figures:
        write_text(folder / names.figure_file(figure.name, "svg"), figure.as_file())
        write_bytes(folder / names.figure_file(figure.name), figure.as_png())
    if report.examples:
        write_bytes(folder / names.figure_file("predictions"), prediction_sheet(report.examples, report.labels))
    if report.augmentations:
        write_bytes(
            folder / names.figure_file("augmentations"), augmentation_sheet(report.augmentations, report.labels)
        )
    return page
