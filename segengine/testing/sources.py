"""Checks of sources: one record per image, sorted by unique id, of existing files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segengine.data.sources.records import SPLITS, Record
from segengine.testing.subject import Check, Subject


def lists_records(subject: Subject) -> Iterator[str]:
    """build() returns a non-empty list of records."""
    records = subject.component.build()
    if not isinstance(records, list) or not all(isinstance(record, Record) for record in records):
        yield f"build() returns {type(records).__name__}; return a list of segengine.plugin.Record"
    elif not records:
        yield (
            "build() finds no images; pass parameters for existing ones (segengine.testing.sample_folder creates some), or "
            "raise DataError"
        )


def records_are_in_order(subject: Subject) -> Iterator[str]:
    """Ids are unique and sorted, and records are the same in each call."""
    records = subject.component.build()
    ids = [record.id for record in records]
    if len(set(ids)) != len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        yield f"duplicate id {twice!r}; use the path relative to the source's root, without suffix"
    if ids != sorted(ids):
        yield "records are not sorted; sort them by id"
    if records != subject.component.build():
        yield "records differ between two calls; they must depend only on the files"


def records_are_usable(subject: Subject) -> Iterator[str]:
    """Each record has existing files, an id with forward slashes, a group, and a valid split."""
    for record in subject.component.build():
        if not Path(record.image).is_file() or not (record.mask is None or Path(record.mask).is_file()):
            yield f"{record.id}: image or mask is not a file; return existing paths, and None for a missing mask"
        elif "\\" in record.id or Path(record.id).is_absolute():
            yield f"{record.id}: the id must be a relative path with forward slashes; use path.relative_to(root).as_posix()"
        elif record.split not in (*SPLITS, None):
            yield f"{record.id}: unknown split {record.split!r}; use {', '.join(SPLITS)} or None"
        elif not record.group:
            yield f"{record.id}: the group is empty; use the id for images that are independent"
        else:
            continue
        return


CHECKS: tuple[Check, ...] = (lists_records, records_are_in_order, records_are_usable)
