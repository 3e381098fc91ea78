"""Records: one image file and its mask file, as listed by a source."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Record:
    """One image with its mask.

    `id` is the image's path relative to the source's root, without suffix, with "/" separators, and unique.
    `group` (patient, video) is the id until a group pattern is applied. `split` is "train", "validation",
    "test", or None if the folders give none.
    """

    id: str
    image: Path
    mask: Path | None
    group: str
    split: str | None = None


class Records(list[Record]):
    """Records sorted by id; `notes`: how they were found, `root`: the source's folder."""

    def __init__(self, records: Iterable[Record] = (), notes: Sequence[str] = (), root: Path | None = None) -> None:
        super().__init__(sorted(records, key=lambda r: r.id))
        self.notes = tuple(notes)
        self.root = root


def data_folder(records: Sequence[Record]) -> Path:
    """The folder of a data set, which may contain `gray-values.txt`.

    The innermost folder with all images and masks; the source's root if that folder is outside it, for example with masks
    on another path than the images. Never the root of the file system: then the images' folder.
    """
    root: Path | None = getattr(records, "root", None)
    common = _common([path for r in records for path in (r.image, r.mask) if path is not None])
    if root is not None:
        return common if common.is_relative_to(root.absolute()) else root.absolute()
    return common if common != Path(common.anchor) else _common([r.image for r in records])


def _common(files: Sequence[Path]) -> Path:
    # As text: a path object per file costs more than all else here.
    folders = sorted({str(Path(folder).absolute()) for folder in {os.path.dirname(path) for path in files}})
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # on different drives
        return Path(folders[0])


def listed(items: Sequence[object], most: int = 5) -> str:
    """The first few of `items` for a message: `a, b, c and 7 more`."""
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"
