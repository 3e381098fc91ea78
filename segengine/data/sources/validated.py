"""Checks of the records of a plugin's source."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from segengine.data.sources.records import SPLITS, Record, Records, listed
from segengine.errors import DataError
from segengine.registry import suggest


def validated(found: object, what: str) -> Records:
    """The records sorted by id; `what` names the source in messages.

    Raises:
        DataError: not a list of records, an empty list, a duplicate id, an unknown split, a missing file, or an empty group.
    """
    if not isinstance(found, list | tuple) or not all(isinstance(record, Record) for record in found):
        raise DataError(f"{what}: build() returns {_given(found)}; return a list of segengine.plugin.Record")
    if not found:
        raise DataError(f"{what}: finds no image")
    problems = [problem for record in found if (problem := _problem(record))]
    twice = [name for name, number in Counter(record.id for record in found).items() if number > 1]
    if twice:
        problems.insert(0, f"several images have the id {listed(sorted(twice), 3)}; ids must be unique")
    if problems:
        more = f" and {len(problems) - 3} more problems" if len(problems) > 3 else ""
        raise DataError(f"{what}: {'; '.join(problems[:3])}{more}")
    return Records(found, getattr(found, "notes", ()), getattr(found, "root", None))


def _problem(record: Record) -> str:
    if not str(record.id):
        return "an id is empty; use text"
    if record.split not in (*SPLITS, None):
        hint = suggest(str(record.split), SPLITS) or f"use {', '.join(SPLITS)}, or None"
        return f"{record.id}: there is no split {record.split!r}; {hint}"
    files: tuple[object, ...] = (record.image, record.mask)
    for file in files:
        if file is not None and not isinstance(file, Path):
            return f"{record.id}: {file!r} is {type(file).__name__}; use a pathlib.Path"
        if file is not None and not file.is_file():
            return f"{record.id}: {file}: no such file"
    if not isinstance(record.group, str) or not record.group:
        return f"{record.id}: has no group; use the id for independent images"
    return ""


def _given(found: object) -> str:
    if not isinstance(found, list | tuple):
        return type(found).__name__
    return f"a list with {next(type(item).__name__ for item in found if not isinstance(item, Record))}"
