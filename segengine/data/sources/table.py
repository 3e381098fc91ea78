"""Source of records: a CSV file with columns of images and masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from segengine.data.files.formats import holds_of, missing_libraries, suffix_of, with_suffix
from segengine.data.sources.lists import read_table
from segengine.data.sources.patterns import ALIASES, find, leaves_root
from segengine.data.sources.records import Record, Records, listed
from segengine.errors import DataError, counted


@dataclass(frozen=True)
class TablePlan:
    """A CSV `file` under `root` with one row per pair, and the names of its columns."""

    root: Path
    file: str
    image: str = "image"
    mask: str = "mask"
    split: str | None = None
    group: str | None = None
    skip_missing: bool = False


def read_pairs(plan: TablePlan) -> Records:
    """One record per row with a mask, sorted by id.

    Raises:
        DataError: no such table or column, a missing or ambiguous file, or an unknown split.
    """
    path = plan.root / plan.file
    if leaves_root(plan.file) or not path.is_file():
        raise DataError(f"{path}: no such table; correct data.source.file (relative to its root)")
    rows = read_table(path)
    _check_columns(plan, rows, path)
    files = FilesByName(plan.root, path.parent)
    records: dict[str, Record] = {}
    missing = []
    for row in rows:
        if not row[plan.mask].strip():
            continue
        image, mask = files.find(row[plan.image]), files.find(row[plan.mask])
        if image is None or mask is None:
            missing.append(row[plan.image if image is None else plan.mask])
            continue
        identity = with_suffix(image.relative_to(plan.root), "").as_posix()
        if identity in records:
            raise DataError(f"{path}: {row[plan.image]} is in two rows; list each image once")
        group = row[plan.group] if plan.group else identity
        records[identity] = Record(identity, image, mask, group, _split(plan, row, path))
    if missing and not (plan.skip_missing and records):
        raise DataError(
            f"{path}: {counted(len(missing), 'listed file')} not found under {plan.root} ({listed(missing)}); add them, or "
            "set data.source.unpaired: skip"
        )
    notes = (
        [f"skipped (unpaired: skip): {counted(len(missing), 'row')} of {path} with a missing file"] if missing else []
    )
    if unread := missing_libraries([record.image for record in records.values()]):
        raise DataError(unread)
    return Records(_with_slices(list(records.values())), notes, plan.root)


def _with_slices(records: list[Record]) -> list[Record]:
    """Volumes divided into slices in their plane of acquisition; other records as they are."""
    if all(holds_of(record.image) != "volume" for record in records):
        return records
    from segengine.data.sources.parts import divided_records
    from segengine.data.sources.slices import volume_slices

    return divided_records(records, lambda image, mask: volume_slices((image,), mask, "auto"))


def _check_columns(plan: TablePlan, rows: list[dict[str, str]], path: Path) -> None:
    if not rows:
        raise DataError(f"{path}: has no header or no rows; write a CSV whose first line names its columns")
    for column in (plan.image, plan.mask, plan.split, plan.group):
        if column is not None and column not in rows[0]:
            raise DataError(f"{path}: has no column '{column}'; there: {', '.join(rows[0])}")


def _split(plan: TablePlan, row: dict[str, str], path: Path) -> str | None:
    if plan.split is None:
        return None
    word = row[plan.split].strip()
    if word.lower() not in ALIASES:
        raise DataError(f"{path}: '{word}' in column '{plan.split}' is not a split; write train, validation or test")
    return ALIASES[word.lower()]


class FilesByName:
    """Finds files named in a table: a path relative to the root or the table, or only the end of a path."""

    def __init__(self, root: Path, beside: Path, files: Iterable[Path] | None = None) -> None:
        self._roots = (root, beside)
        self._by_end: dict[str, set[Path]] = defaultdict(set)
        for path in [m.path for m in find(root, "**/*")] if files is None else files:
            parts = path.relative_to(root).parts
            for start in range(len(parts)):
                end = "/".join(parts[start:])
                self._by_end[end].add(path)
                self._by_end[end[: len(end) - len(suffix_of(end))]].add(path)

    def find(self, text: str) -> Path | None:
        """The file, None if there is none. Raises DataError if several files match."""
        parts = [part for part in text.strip().replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            return None
        for root in self._roots:
            if (root / Path(*parts)).is_file():
                return root / Path(*parts)
        for start in range(len(parts)):
            found = self._by_end.get("/".join(parts[start:]), set())
            if len(found) > 1:
                raise DataError(
                    f"'{text}' is ambiguous: {listed(sorted(found), 3)}; write the path from the root in the table"
                )
            if found:
                return next(iter(found))
        return None
