"""Comparing runs from Python: `segengine.compare`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from segengine.comparison.image_metrics import measured
from segengine.comparison.judge import Judged, judge
from segengine.comparison.measures import METRICS
from segengine.comparison.render.csv import records
from segengine.comparison.sentences import refusals
from segengine.comparison.statistics.differences import Choices
from segengine.comparison.summary import Comparison as Summary
from segengine.comparison.summary import compare_folders
from segengine.errors import ComparisonError
from segengine.study.api import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

Runs = str | os.PathLike[str] | Run


@dataclass(frozen=True, eq=False)
class Comparison:
    """The variants of one experiment compared, as `segengine compare` does; shown as a table in notebooks."""

    judged: Judged

    @property
    def table(self) -> list[dict[str, Any]]:
        """Scores: one dictionary per variant, kind of mean and class, with interval; `pandas.DataFrame` takes them as they are."""
        return self.tables["scores"]

    @property
    def tables(self) -> Mapping[str, list[dict[str, Any]]]:
        """All tables by name: scores, differences, ranking, costs, curves, confusion, images; empty ones are left out."""
        return records(self.judged)

    @property
    def verdict(self) -> str:
        """Which variant is best, and the evidence."""
        return " ".join(self.judged.said.verdict)

    @property
    def sentences(self) -> list[str]:
        """Everything that the comparison states: verdict, differences between the runs, pairs, notes, methods."""
        return self.judged.said.all()

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the page of the comparison, without pictures of images, and return its path.

        Raises:
            ComparisonError: another file exists at `path`, or it can't be written.
        """
        from segengine.comparison.contents import contents_of
        from segengine.comparison.render.folder import check_page, write_page
        from segengine.comparison.render.page import comparison_page

        target = Path(path)
        check_page(target)
        write_page(target, comparison_page([contents_of(self.judged)]))
        return target

    def _repr_html_(self) -> str:
        """The first table and the verdict."""
        from segengine.comparison.tables import scores_table

        keys, rows = scores_table(self.judged).values()
        head = "".join(f"<th>{escape(str(key))}</th>" for key in keys)
        body = "".join(f"<tr>{''.join(f'<td>{escape(_shown(cell))}</td>' for cell in row)}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{escape(self.verdict)}</p>"

    def __repr__(self) -> str:
        return f"Comparison({', '.join(self.judged.names)}: {self.verdict})"


def compare(
    runs: Runs | Iterable[Runs] = "runs",
    *,
    metric: str = "dice",
    split: str | None = None,
    margin: float | None = None,
    only_vary: Sequence[str] = (),
    undefined: Literal["left-out", "worst"] = "left-out",
    resamples: int = 2000,
) -> Comparison:
    """Compare finished runs by variant.

    Args:
        runs: runs, run folders, or folders of runs of one experiment.
        metric: dice, iou, or a metric with values per image such as hd95.
        split: test or validation; default: test, or validation where there are no test images.
        margin: points (hundredths) within which scores are practically equal; for distances, in their unit. Default: that of the
            command.
        only_vary: refuse the comparison if any setting outside these paths differs.
        undefined: images where a distance is undefined: left out, or the image's diagonal.
        resamples: sign flips per test, and bootstrap resamples of the ranking.

    Raises:
        ComparisonError: no finished run, runs that can't be compared, or runs of several experiments.
    """
    given = [runs] if isinstance(runs, str | os.PathLike | Run) else list(runs)
    paths = [each.path if isinstance(each, Run) else Path(each) for each in given]
    results = compare_folders(paths, Path("runs"), split, only_vary, metric)
    if metric not in METRICS:
        results, metric = measured(results, metric, undefined)
    if problems := refusals(results):
        raise ComparisonError("\n".join(problems))
    found = [each for each in results if isinstance(each, Summary)]
    if len(found) != 1:
        titles = ", ".join(each.title for each in found)
        raise ComparisonError(
            f"the runs are of {len(found)} experiments ({titles}); give the runs of one, or single runs"
        )
    measure = found[0].measure(metric)
    choices = Choices(measure.margin if margin is None else margin / measure.factor, resamples)
    return Comparison(judge(found[0], metric, choices))


def _shown(cell: Any) -> str:
    return "" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell)
