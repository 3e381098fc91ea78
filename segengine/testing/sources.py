"""What a source promises: one record an image, sorted by a unique id, of files that are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segengine.data.sources.records import SPLITS, Record
from segengine.testing.subject import Check, Subject


def lists_records(subject: Subject) -> Iterator[str]:
    """A source lists the records of the files that its parameters name."""
    records = subject.component.build()
    if not isinstance(records, list) or not all(isinstance(record, Record) for record in records):
        yield f"build() gives {type(records).__name__}; give a list of segengine.plugin.Record"
    elif not records:
        yield "finds no image; give parameters that name some (segengine.testing.sample_folder writes a few), or raise DataError"


def records_are_in_order(subject: Subject) -> Iterator[str]:
    """Ids are unique and sorted, and the same every time."""
    records = subject.component.build()
    ids = [record.id for record in records]
    if len(set(ids)) != len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        yield f"two images have the id {twice!r}; use the path relative to the source's root, without suffix"
    if ids != sorted(ids):
        yield "records are not sorted; sort them by id"
    if records != subject.component.build():
        yield "a second look gives other records; let nothing but the files decide"


def records_are_usable(subject: Subject) -> Iterator[str]:
    """Each record names files that exist, an id with forward slashes, a group, and a split that there is."""
    for record in subject.component.build():
        if not Path(record.image).is_file() or not (record.mask is None or Path(record.mask).is_file()):
            yield f"{record.id}: image or mask is not a file; give paths that exist, mask None where there is none"
        elif "\\" in record.id or Path(record.id).is_absolute():
            yield f"{record.id}: an id is a relative path with forward slashes; write path.relative_to(root).as_posix()"
        elif record.split not in (*SPLITS, None):
            yield f"{record.id}: there is no split {record.split!r}; use {', '.join(SPLITS)}, or None"
        elif not record.group:
            yield f"{record.id}: has no group; use the id where images don't belong together"
        else:
            continue
        return


CHECKS: tuple[Check, ...] = (lists_records, records_are_in_order, records_are_usable)
