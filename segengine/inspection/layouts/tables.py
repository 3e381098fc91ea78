"""CSV files whose columns name images and their masks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from segengine.data.sources.lists import SPLIT_COLUMNS, read_table
from segengine.data.sources.patterns import ALIASES
from segengine.data.sources.table import FilesByName
from segengine.errors import DataError
from segengine.inspection.layouts.contents import look
from segengine.inspection.layouts.tree import Tree

_LARGEST = 50_000_000
_CHECKED = 200
_GROUP_COLUMNS = re.compile(
    r"(?i)(patient|subject|person|scene|video|slide|case|group|site|sequence)(_?(id|no|nr|number|name))?$"
)


def find_table(tree: Tree) -> tuple[dict[str, Any], str] | None:
    """Settings of the source `table` and the evidence; None if no CSV file lists pairs of image files."""
    for parts in tree.texts:
        path = tree.path(parts)
        if not parts[-1].lower().endswith((".csv", ".tsv")) or path.stat().st_size > _LARGEST:
            continue
        rows = read_table(path)
        files = FilesByName(tree.root, path.parent, [tree.path(p) for p in tree.pictures]) if rows else None
        columns = _picture_columns(rows, files) if files else []
        if files is None or len(columns) != 2:
            continue
        image, mask = _image_first(rows, columns, files)
        settings: dict[str, Any] = {"name": "table", "file": "/".join(parts), "image": image, "mask": mask}
        for column in rows[0]:
            values = {row[column].strip().lower() for row in rows}
            if values <= ALIASES.keys() and (len(values) > 1 or column.lower() in SPLIT_COLUMNS):
                settings["split"] = column
            elif _GROUP_COLUMNS.fullmatch(column.strip()) and 1 < len(values) < len(rows):
                settings["group"] = column
        return settings, f"{'/'.join(parts)} lists images and masks in its columns {image} and {mask}"
    return None


def _picture_columns(rows: Sequence[Mapping[str, str]], files: FilesByName) -> list[str]:
    sample = rows[:: max(1, len(rows) // _CHECKED)]
    return [column for column in rows[0] if sum(_found(files, row[column]) for row in sample) >= 0.9 * len(sample)]


def _found(files: FilesByName, text: str) -> bool:
    try:
        return bool(text.strip()) and files.find(text) is not None
    except DataError:
        return False


def _image_first(rows: Sequence[Mapping[str, str]], columns: Sequence[str], files: FilesByName) -> tuple[str, str]:
    """The two columns, the one whose files are less similar to masks first."""

    def likeness(column: str) -> float:
        looks = [c for row in rows[:6] if (path := files.find(row[column])) and (c := look(path))]
        return sum(c.likeness for c in looks) / max(1, len(looks)) + 0.3 * bool(
            re.search(r"(?i)mask|label|gt|seg|annot", column)
        )

    one, two = sorted(columns, key=likeness)
    return one, two
