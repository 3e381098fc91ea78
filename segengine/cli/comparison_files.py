"""`segengine compare --html` and `--out`: the page and the folder of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from segengine.comparison.page.gallery import Gallery
    from segengine.comparison.statistics.differences import Choices
    from segengine.comparison.summary import Comparison, Metric


@dataclass(frozen=True)
class Targets:
    """Where to write what; `pictures` is how many images the gallery shows."""

    html: Path | None
    out: Path | None
    pictures: int

    def __bool__(self) -> bool:
        return self.html is not None or self.out is not None

    def check(self) -> None:
        """Refuse targets that can't be written or hold something else, before anything is computed.

        Raises:
            ComparisonError: says which and why.
        """
        if not self:
            return
        from segengine.comparison.page.output import check_folder, check_page

        if self.html is not None:
            check_page(self.html)
        if self.out is not None:
            check_folder(self.out)


def write_comparisons(targets: Targets, comparisons: Sequence[Comparison], metric: Metric, choices: Choices) -> None:
    """Write the page and the folder that are asked for, and say so on standard error.

    Raises:
        ComparisonError: something can't be written, or stands in the way.
        RunError: a file of a run is damaged.
    """
    from segengine.comparison.page.contents import contents_of
    from segengine.comparison.page.output import check_page, files_of, write_folder, write_page
    from segengine.comparison.page.page import comparison_page
    from segengine.comparison.render import document

    made = [contents_of(each, metric, choices, _gallery(each, metric, targets.pictures)) for each in comparisons]
    if targets.html is not None:
        replaced = check_page(targets.html)
        write_page(targets.html, comparison_page(made))
        click.echo(f"{'replaced' if replaced else 'wrote'} {targets.html}", err=True)
    if targets.out is not None:
        files = files_of(made, [document(each, metric, choices) for each in comparisons])
        write_folder(targets.out, files)
        click.echo(f"wrote {len(files)} files to {targets.out}", err=True)


def _gallery(comparison: Comparison, metric: Metric, count: int) -> Gallery | None:
    """The pictures of the images on which variants disagree most; None if none are wanted or there is one variant."""
    if not count or len(comparison.variants) < 2:
        return None
    from segengine.comparison.page.gallery import most_disagreed
    from segengine.inference.gallery import pictures

    chosen = most_disagreed(comparison, metric, count)
    found = pictures(comparison, chosen)
    for problem in found.problems:
        click.echo(f"no picture: {problem}", err=True)
    return found
