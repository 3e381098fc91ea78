"""Checks of mask mappers: lossless conversion of raw values to classes and back, and an error for unmapped values.

A mapper is checked with small masks in each common encoding (values 0, 63, 126; 0, 1, 2; 0 and 255; palette indices;
colours black, red, green), or with those of a given folder. It may reject masks that it does not support with a DataError or
SpecError, but not all of them. Mappers that accept every value, such as a threshold, need not raise errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.formats import LOSSLESS_SUFFIXES
from segengine.data.masks.mapping import IGNORE, MaskSurvey
from segengine.errors import DataError, SpecError
from segengine.testing.samples import sample_masks
from segengine.testing.subject import Check, Subject, raised

_WHERE = "masks/p07.png"
_TRIED = 24


@dataclass(frozen=True, eq=False)
class _Case:
    name: str
    found: MaskSurvey
    mapper: Any
    masks: tuple[NDArray[Any], ...]


def takes_masks(subject: Subject) -> Iterator[str]:
    """build() accepts at least one kind of masks, and labels are numbered from 0."""
    refusals: list[str] = []
    cases = list(_cases(subject, refusals))
    if not cases:
        given = f"the masks in {subject.files}" if subject.files else "all sample masks"
        last = refusals[-1] if refusals else "there are none"
        yield f"build() rejects {given} ({last}); pass parameters, or a folder of masks that it supports"
    for case in cases:
        yield from (f"with {case.name}: {line}" for line in _labels(subject, case))


def _cases(subject: Subject, refusals: list[str] | None = None) -> Iterator[_Case]:
    from segengine.data.files.reading import read_mask
    from segengine.data.masks.survey import survey_masks

    for name, paths in _masks(subject).items():
        folder = subject.files or paths[0].parents[1]
        found = survey_masks(paths, folder)
        masks = tuple(read_mask(path) for path in paths[:3])
        try:
            mapper = _mapper(subject, found)
            for mask in masks:  # a fixed table may refuse these masks only here
                mapper.to_classes(mask.copy(), where=_WHERE)
        except (DataError, SpecError) as error:
            if refusals is not None:
                refusals.append(str(error).splitlines()[0])
            continue
        yield _Case(name, found, mapper, masks)


def _masks(subject: Subject) -> dict[str, list[Path]]:
    if subject.files is None:
        return dict(sample_masks(subject.scratch))
    paths = sorted(path for path in subject.files.rglob("*") if path.suffix.lower() in LOSSLESS_SUFFIXES)
    return {"the given masks": paths} if paths else {}


def _mapper(subject: Subject, found: MaskSurvey) -> Any:
    try:
        return subject.component.build(classes=None, found=found)
    except (DataError, SpecError):  # it may want names, fewer than there are values where it merges some
        for number in range(len(found.values), 1, -1):
            try:
                return subject.component.build(classes=[f"class {i}" for i in range(number)], found=found)
            except (DataError, SpecError):
                continue
        raise


def _labels(subject: Subject, case: _Case) -> Iterator[str]:
    labels = tuple(case.mapper.labels)
    if [label.index for label in labels] != list(range(len(labels))) or len(labels) < 2:
        yield f"labels have the indices {[label.index for label in labels]}; return at least two, numbered from 0"
        return
    names = [f"thing {i}" for i in range(len(labels))]
    named = [label.name for label in subject.component.build(classes=names, found=case.found).labels]
    if named != names:
        yield f"with classes={names} the labels are named {named}; use `classes` in order of the index"
    for name in ("ignored", "encoding"):
        if not hasattr(case.mapper, name):
            yield f"the mapper has no attribute `{name}`; set `encoding` to found.encoding, `ignored` to () if nothing is ignored"


def classes_come_back(subject: Subject) -> Iterator[str]:
    """Classes are unchanged by to_raw() followed by to_classes(), and each label's raw value is mapped to its class."""
    for case in _cases(subject):
        yield from (f"with {case.name}: {line}" for line in _round_trip(case))


def _round_trip(case: _Case) -> Iterator[str]:
    mapper, colours = case.mapper, case.mapper.encoding.kind == "rgb"
    ignore_back = IGNORE if tuple(mapper.ignored) else 0
    for label in mapper.labels:
        raw = mapper.to_raw(np.full((2, 3), label.index, np.uint8))
        if raw.shape != ((2, 3, 3) if colours else (2, 3)) or raw.dtype not in (np.uint8, np.uint16):
            yield f"to_raw() returns {raw.dtype} {list(raw.shape)} for 2x3 pixels; return the dtype and shape of the masks"
            return
        if not np.array_equal(
            np.unique(raw.reshape(-1, raw.shape[-1] if colours else 1), axis=0)[0], np.ravel(label.raw)
        ):
            yield f"to_raw() does not map class {label.index} ({label.name}) to its raw value {label.raw}"
        elif not bool((mapper.to_classes(raw) == label.index).all()):
            yield f"to_classes() does not map raw value {label.raw} to its class {label.index} ({label.name})"
    for mask in case.masks:
        before = mask.copy()
        mask.setflags(write=False)
        classes = mapper.to_classes(mask, where=_WHERE)
        if classes.dtype != np.uint8 or classes.shape != mask.shape[:2]:
            yield f"to_classes() returns {classes.dtype} {list(classes.shape)}; return uint8 [H, W]"
            return
        if bool(((classes >= len(mapper.labels)) & (classes != IGNORE)).any()):
            yield f"to_classes() returns values other than 0..{len(mapper.labels) - 1} and 255; raise DataError for such values"
            return
        again = mapper.to_classes(mapper.to_raw(classes))
        if not np.array_equal(again, np.where(classes == IGNORE, ignore_back, classes)):
            yield "to_classes(to_raw(classes)) differs from classes; to_raw() must be the inverse of to_classes()"
        assert np.array_equal(before, mask)


def other_values_are_named(subject: Subject) -> Iterator[str]:
    """to_classes() raises a DataError that names file and value for values that are neither a class nor ignored."""
    for case in _cases(subject):
        yield from (f"with {case.name}: {line}" for line in _unmapped_values(case))


def _unmapped_values(case: _Case) -> Iterator[str]:
    refused, accepted = 0, []
    for value in _unknown(case):
        raw = np.broadcast_to(np.asarray(value), (2, 2, *np.shape(value))).astype(
            np.uint16 if np.max(value) > 255 else np.uint8
        )
        try:
            classes = case.mapper.to_classes(raw, where=_WHERE)
        except DataError as error:
            refused += 1
            text = str(error)
            named = all(str(part) in text for part in np.ravel(value)) or np.max(value) > 255
            if _WHERE not in text or not named:
                yield f"the error for the unmapped value {value} is {text!r}; include the file (`where`) and the value"
                return
        except Exception as error:
            yield f"the unmapped value {value} {raised(error)}; raise a DataError with file, value and what to do"
            return
        else:
            accepted.append(value)
            if bool(((classes >= len(case.mapper.labels)) & (classes != IGNORE)).any()):
                yield f"the unmapped value {value} becomes {int(classes.flat[0])}, which is not a class; raise DataError"
                return
    if refused and any(np.max(value) > 255 for value in accepted):
        yield "16-bit values wrap around to mapped ones; do not cast raw values to uint8"


def _unknown(case: _Case) -> list[Any]:
    known = set(case.found.values)
    if case.found.encoding.kind == "rgb":
        return [colour for colour in ((1, 2, 3), (0, 0, 255), (255, 255, 255)) if colour not in known]
    free = [value for value in range(256) if value not in known]
    return [
        *free[:: max(1, len(free) // _TRIED)],
        *(256 + int(value) for value in list(known)[:1] if isinstance(value, int)),
    ]


CHECKS: tuple[Check, ...] = (takes_masks, classes_come_back, other_values_are_named)
