"""Everything that the page and the files of one comparison show, made once."""

from __future__ import annotations

from dataclasses import dataclass

from segengine.comparison.costs import Cost, costs_of
from segengine.comparison.page.confusion_figure import confusion_figures
from segengine.comparison.page.cost_figure import cost_figures
from segengine.comparison.page.curve_figure import curve_figures
from segengine.comparison.page.difference_figure import difference_figures
from segengine.comparison.page.gallery import Gallery
from segengine.comparison.page.heat_figure import heat_figure
from segengine.comparison.page.pairs import shown_classes, shown_pairs
from segengine.comparison.page.rank_figure import rank_figure
from segengine.comparison.page.table import Table
from segengine.comparison.page.tables import cost_table, difference_table, score_table
from segengine.comparison.page.view import View, view_of
from segengine.comparison.statistics.differences import Choices
from segengine.comparison.summary import Comparison, Metric
from segengine.figures.figure import Figure


@dataclass(frozen=True, eq=False)
class Contents:
    """Tables and figures by subject; `gallery` is None where no pictures are wanted."""

    view: View
    scores: tuple[Table, ...]
    differences: tuple[Table, ...]
    costs: Table | None
    measured: tuple[Cost, ...]
    figures: dict[str, tuple[Figure, ...]]
    gallery: Gallery | None = None

    @property
    def all_figures(self) -> list[Figure]:
        return [figure for figures in self.figures.values() for figure in figures]


def contents_of(comparison: Comparison, metric: Metric, choices: Choices, gallery: Gallery | None = None) -> Contents:
    """Judge a comparison and draw what it has something for.

    Raises:
        RunError: a file of a run is damaged.
    """
    view = view_of(comparison, metric, choices)
    costs = costs_of(comparison, metric)
    found = view.found[0] if view.found else None
    figures: dict[str, tuple[Figure, ...]] = {"differences": (), "ranking": ()}
    tables: list[Table] = []
    if found is not None:
        pairs, classes = shown_pairs(view, found), shown_classes(view, found)
        figures["differences"] = tuple(difference_figures(found, pairs, classes))
        tables = [
            difference_table(each, shown_pairs(view, each), f"differences-{each.kind.replace('_', '-')}")
            for each in view.found
        ]
        if found.ranking is not None:
            figures["ranking"] = (rank_figure(found.ranking, view.names, view.ranked, choices.resamples),)
    figures["costs"] = tuple(
        cost_figures(costs, f"mean {view.word}", [each.mean for each in view.intervals[view.kind]], view.measure)
    )
    figures["classes"] = (heat_figure(view),)
    figures["curves"] = tuple(curve_figures(view))
    figures["confusion"] = tuple(confusion_figures(view))
    scores = tuple(score_table(view, kind) for kind in view.intervals)
    return Contents(view, scores, tuple(tables), cost_table(view, costs), costs, figures, gallery)
