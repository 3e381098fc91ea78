"""Splits given by text or CSV files that list image names."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segengine.data.files.formats import stem_of, with_suffix
from segengine.data.sources.patterns import ALIASES, Match, find
from segengine.data.sources.records import listed
from segengine.errors import DataError, counted

_JOINT = re.compile(r"(?i)train[_-]?val")
"""Combined lists of training and validation, used only if neither split has its own list."""
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "fold", "phase", "usage")


def listed_splits(root: Path, pattern: str, images: Sequence[Match], *, outside: bool, there: str) -> dict[Path, str]:
    """Image path -> split, from text files with one name, stem or path per line, or a CSV with a split column.

    Raises:
        DataError: no list, a list without a split, a missing image, or an image in two splits.
    """
    files = find(root, pattern, outside=outside, suffixes=False)
    if not files:
        raise DataError(f"{root}: no list matches '{pattern}'; there: {there}")
    plain = {file.split for file in files if not _JOINT.search(file.path.stem)}
    files = [file for file in files if file.split not in plain or not _JOINT.search(file.path.stem)]
    by_name = _by_name(root, images)
    splits: dict[Path, str] = {}
    for file in files:
        lines = [(name, file.split) for name in _lines(file.path)] if file.split else list(table_splits(file.path))
        if not lines:
            raise DataError(
                f"{root}: lists: '{pattern}' needs {{split}} in place of train, val or test, or a CSV with a split column"
            )
        unknown = [line for line, _ in lines if _lookup(line, by_name) is None]
        if unknown:
            raise DataError(
                f"{file.path}: {counted(len(unknown), 'listed image')} not found in {root} ({listed(unknown)}); "
                "correct the list or add them"
            )
        for line, split in lines:
            path = _lookup(line, by_name)
            assert path is not None
            assert split is not None
            if splits.setdefault(path, split) != split:
                raise DataError(f"{file.path}: '{line}' is also in the list of {splits[path]}; keep it in one split")
    return splits


def table_splits(path: Path) -> Iterator[tuple[str, str]]:
    """(name, split) of each row of a CSV: the split from the split column, the name from the first other column."""
    rows = read_table(path)
    column = next((c for c in _columns(rows) if _is_split_column(c, rows)), None)
    if column is None:
        return
    name = next((c for c in _columns(rows) if c != column and len({row[c] for row in rows}) == len(rows)), None)
    if name is not None:
        for row in rows:
            yield row[name], ALIASES[row[column].strip().lower()]


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV, TSV or semicolon-separated file with a header; empty for other files."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return []
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    if delimiter not in first:
        return []
    try:
        rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    except csv.Error:
        return []
    return [{k: v for k, v in row.items() if isinstance(k, str)} for row in rows if None not in row.values()]


def _columns(rows: Sequence[Mapping[str, str]]) -> list[str]:
    return list(rows[0]) if rows else []


def _is_split_column(column: str, rows: Sequence[Mapping[str, str]]) -> bool:
    values = {row[column].strip().lower() for row in rows}
    return bool(values) and values <= ALIASES.keys() and (len(values) > 1 or column.strip().lower() in SPLIT_COLUMNS)


def _by_name(root: Path, images: Sequence[Match]) -> dict[str, Path]:
    by_name: dict[str, Path] = {}
    for match in images:
        inside = match.path.relative_to(root) if match.path.is_relative_to(root) else match.path
        names = (
            "/".join(match.key),
            stem_of(match.path),
            match.path.name,
            with_suffix(inside, "").as_posix(),
            inside.as_posix(),
        )
        for name in names:
            by_name.setdefault(name, match.path)
    return by_name


def _lookup(line: str, by_name: Mapping[str, Path]) -> Path | None:
    """The image named by a line, with or without leading folders.

    Names may contain spaces and be followed by a mask's name: the longest prefix of the line that is a name is used.
    """
    ends = [match.start() for match in re.finditer(r"\s+", line)]
    words = (line, *(line[:end] for end in reversed(ends)), line.split(",", maxsplit=1)[0].strip())
    for word in words:
        parts = [part for part in word.replace("\\", "/").split("/") if part not in ("", ".")]
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            found = by_name.get(tail) or by_name.get(tail.rpartition(".")[0]) or by_name.get(stem_of(tail))
            if found is not None:
                return found
    return None


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; save the list as UTF-8") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
