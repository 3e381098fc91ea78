"""What the page and the folder of one comparison hold: a judged comparison with its tables, figures and pictures."""

from __future__ import annotations

from dataclasses import dataclass

from segengine.comparison.gallery import Gallery
from segengine.comparison.judge import Judged
from segengine.comparison.page.confusion_figure import confusion_figures
from segengine.comparison.page.cost_figure import cost_figures
from segengine.comparison.page.curve_figure import curve_figures
from segengine.comparison.page.difference_figure import difference_figures
from segengine.comparison.page.heat_figure import heat_figure
from segengine.comparison.page.rank_figure import rank_figure
from segengine.comparison.table import Table
from segengine.comparison.tables import tables_of
from segengine.figures.figure import Figure


@dataclass(frozen=True, eq=False)
class Contents:
    """Tables by name, figures by subject; `gallery` is None where no pictures are wanted."""

    judged: Judged
    tables: dict[str, Table]
    figures: dict[str, tuple[Figure, ...]]
    gallery: Gallery | None = None

    @property
    def all_figures(self) -> list[Figure]:
        return [figure for figures in self.figures.values() for figure in figures]


def contents_of(judged: Judged, gallery: Gallery | None = None) -> Contents:
    """Draw what a comparison has something for.

    Raises:
        RunError: a file of a run is damaged.
    """
    tables = {table.name: table for table in tables_of(judged)}
    figures: dict[str, tuple[Figure, ...]] = {"differences": (), "ranking": ()}
    if judged.found:
        found = judged.found[0]
        figures["differences"] = tuple(
            difference_figures(
                found, judged.pairs(found), judged.class_pairs(found), tables.get("differences-by-class")
            )
        )
        if found.ranking is not None:
            figures["ranking"] = (
                rank_figure(found.ranking, judged.names, judged.ranked, judged.choices.resamples, tables["ranking"]),
            )
    score = f"mean {judged.word}"
    intervals = [each.mean for each in judged.intervals[judged.kind]]
    figures["costs"] = tuple(cost_figures(judged.costs, score, intervals, judged.measure))
    figures["classes"] = (heat_figure(judged, tables[f"classes-{judged.kind.replace('_', '-')}"]),)
    figures["curves"] = tuple(curve_figures(judged))
    figures["confusion"] = tuple(confusion_figures(judged))
    return Contents(judged, tables, figures, gallery)
