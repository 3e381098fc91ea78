"""Contents of the page and the folder of one comparison: the judged comparison with tables, figures and pictures."""

from __future__ import annotations

from dataclasses import dataclass

from segengine.comparison.charts import charts
from segengine.comparison.gallery import Gallery
from segengine.comparison.judge import Judged
from segengine.comparison.table import Table
from segengine.comparison.tables import tables_of
from segengine.figures.figure import Figure


@dataclass(frozen=True, eq=False)
class Contents:
    """Tables by name, figures by subject; `gallery` is None without pictures."""

    judged: Judged
    tables: dict[str, Table]
    figures: dict[str, tuple[Figure, ...]]
    gallery: Gallery | None = None

    @property
    def all_figures(self) -> list[Figure]:
        return [figure for figures in self.figures.values() for figure in figures]


def contents_of(judged: Judged, gallery: Gallery | None = None) -> Contents:
    """Create the tables and figures of a comparison.

    Raises:
        RunError: a file of a run is damaged.
    """
    tables = {table.name: table for table in tables_of(judged)}
    return Contents(judged, tables, charts(judged, tables), gallery)
