"""Merges and drops classes by their names, before classes are numbered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from segengine.data.masks.diagnosis import spoken
from segengine.data.masks.labels import check_number, make_labels, name_of
from segengine.data.masks.mapping import Label, MaskSurvey, Raw
from segengine.data.sources.records import listed
from segengine.errors import DataError
from segengine.registry import suggest


@dataclass(frozen=True)
class Selection:
    """The classes left, the raw values that belong to one of them beside its own, ignored raw values, and notes."""

    labels: tuple[Label, ...]
    merged: Mapping[Raw, int] = field(default_factory=dict)
    dropped: tuple[Raw, ...] = ()
    notes: tuple[str, ...] = ()


def select_classes(
    values: Sequence[Raw],
    classes: Sequence[str] | None,
    survey: MaskSurvey,
    merge: Mapping[str, Sequence[str]],
    drop: Sequence[str],
) -> Selection:
    """The classes for `values` after merging and dropping.

    A merged class stands where the first of its classes stood, and its value in predictions is that of the first class in its
    list. Pixels of dropped classes are ignored.

    Args:
        values: raw values of the classes in order.
        classes: their names; None for the raw values as names.
        survey: survey of the masks.
        merge: new name -> names of classes.
        drop: names of classes.

    Raises:
        DataError: names that are no classes, a class that is listed twice, or fewer than 2 or more than 254 classes left.
    """
    if not merge and not drop:
        return Selection(make_labels(values, classes, survey))
    check_number(values, classes, survey)
    names = list(classes) if classes is not None else [name_of(raw) for raw in values]
    _check(names, merge, drop)
    raws = dict(zip(names, values, strict=True))
    new = {old: name for name, members in merge.items() for old in members}
    kept: dict[str, Raw] = {}
    for name in names:
        if name not in drop:
            target = new.get(name, name)
            kept.setdefault(target, raws[merge[target][0]] if name in new else raws[name])
    labels = make_labels(list(kept.values()), list(kept), survey)
    index = {label.name: label.index for label in labels}
    merged = {raws[old]: index[name] for old, name in new.items() if raws[old] != labels[index[name]].raw}
    notes = [
        f"merge: {listed(members, 8)} are {name}; predictions have the value {spoken(labels[index[name]].raw)}"
        for name, members in merge.items()
    ]
    if drop:
        notes.append(f"drop: pixels of {listed(drop, 8)} are ignored")
    return Selection(labels, merged, tuple(raws[name] for name in drop), tuple(notes))


def _check(names: Sequence[str], merge: Mapping[str, Sequence[str]], drop: Sequence[str]) -> None:
    used: set[str] = set()
    for where, name in [
        *((f"merge.{new}", old) for new, members in merge.items() for old in members),
        *(("drop", n) for n in drop),
    ]:
        if name not in names:
            near = suggest(name, names)
            hint = f"; {near}" if near else f"; classes: {listed(names, 30)}"
            raise DataError(f"data.mask_mapper.{where}: '{name}' is not a class{hint}")
        if name in used:
            raise DataError(f"data.mask_mapper: class '{name}' is merged or dropped twice; list it once")
        used.add(name)
    taken = [new for new in merge if new in names and new not in used]
    if taken:
        raise DataError(
            f"data.mask_mapper.merge: '{taken[0]}' is also a class that is not merged; add it to its own list or choose another name"
        )
