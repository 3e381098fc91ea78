"""`segengine compare --html` and `--out`: the page and the folder of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segengine.cli.output import say
from segengine.errors import counted

if TYPE_CHECKING:
    from segengine.comparison.gallery import Gallery
    from segengine.comparison.judge import Judged


@dataclass(frozen=True)
class Targets:
    """Output paths of a comparison; `pictures` is the number of images in the gallery."""

    html: Path | None
    out: Path | None
    pictures: int

    def __bool__(self) -> bool:
        return self.html is not None or self.out is not None

    def check(self) -> None:
        """Check that the targets are writable and hold no other files, before anything is computed.

        Raises:
            ComparisonError: names the target and the reason.
        """
        if not self:
            return
        from segengine.comparison.render.folder import check_folder, check_page

        if self.html is not None:
            check_page(self.html)
        if self.out is not None:
            check_folder(self.out)


def write_comparisons(targets: Targets, judged: Sequence[Judged], *, report: bool = True) -> None:
    """Write the requested page and folder, and `report` them on standard error.

    Raises:
        ComparisonError: a target can't be written, or holds other files.
        RunError: a file of a run is damaged.
    """
    from segengine.comparison.contents import contents_of
    from segengine.comparison.render.folder import check_page, files_of, write_folder, write_page
    from segengine.comparison.render.page import comparison_page

    made = [contents_of(each, _gallery(each, targets.pictures)) for each in judged]
    if targets.html is not None:
        replaced = check_page(targets.html)
        write_page(targets.html, comparison_page(made))
        if report:
            say(f"{'replaced' if replaced else 'wrote'} {targets.html}", err=True)
    if targets.out is not None:
        files = files_of(made)
        write_folder(targets.out, files)
        if report:
            say(f"wrote {counted(len(files), 'file')} to {targets.out}", err=True)


def _gallery(judged: Judged, count: int) -> Gallery | None:
    """Pictures of the images with the largest disagreement; None if `count` is 0 or there is one variant."""
    if not count or len(judged.names) < 2:
        return None
    from segengine.comparison.gallery import most_disagreed
    from segengine.inference.gallery import pictures

    found = pictures(judged.comparison, most_disagreed(judged.comparison, judged.metric, count))
    for problem in found.problems:
        say(f"picture left out: {problem}", err=True)
    return found
