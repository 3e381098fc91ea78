"""Selects the colours of RGB masks that are classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from segengine.data.masks.diagnosis import Diagnosis, diagnose, spoken
from segengine.data.masks.mappers import repair_note, unlisted
from segengine.data.masks.mapping import MaskEncoding, MaskSurvey, Raw
from segengine.data.sources.records import listed
from segengine.errors import DataError, counted

Colour = tuple[int, int, int]


def choose_colours(
    survey: MaskSurvey,
    table: Mapping[str, Colour] | None,
    classes: Sequence[str] | None,
    ignored: Sequence[Colour],
    *,
    repair: bool,
) -> tuple[MaskSurvey, tuple[Raw, ...], list[str] | None, tuple[str, ...]]:
    """The survey with colours as values, the class colours, their names, and notes for the user.

    Args:
        survey: survey of the masks.
        table: name -> colour, or None to use the colours found.
        classes: the user's class names; with a table they must equal its names, and define the order.
        ignored: colours that are not classes.
        repair: whether unlisted colours are mapped to the nearest listed one.

    Raises:
        DataError: a palette, unlisted colours, too many colours, or names that differ from the table's.
    """
    if survey.encoding.kind == "palette":
        raise DataError(
            f"{survey.folder}: masks are palette images, whose values are palette indices; use mask_mapper: palette"
        )
    survey = _in_colours(survey)
    diagnosis = diagnose(survey)
    if table is None:
        if not diagnosis.usable:
            raise DataError(_what_to_write(survey, diagnosis))
        values: tuple[Raw, ...] = tuple(v for v in survey.values if v not in ignored)
        return survey, values, list(classes) if classes is not None else None, ()
    names = list(table) if classes is None else list(classes)
    if set(names) != set(table):
        raise DataError(
            f"data.mask_mapper.colours names {', '.join(table)} and data.classes {', '.join(names)}; make them the same"
        )
    values = tuple(table[name] for name in names)
    if len(set(values)) < len(values):
        raise DataError("data.mask_mapper.colours: two classes have the same colour; give each its own")
    known = (*values, *ignored)
    new = unlisted(survey, known)
    if new and not repair:
        worst = max(new, key=lambda v: new[v])
        found = survey.values[worst]
        others = f" (and {counted(len(new) - 1, 'other')})" if len(new) > 1 else ""
        raise DataError(
            f"{survey.folder}: colour {spoken(worst)}{others} occurs in the masks but not in data.mask_mapper.colours "
            f"({counted(found.pixels, 'pixel')} in {counted(found.files, 'mask')}, first {found.first_file}); add it there or "
            f"to ignore{', or add repair: nearest' if not diagnosis.usable else ''}"
        )
    absent = [name for name in names if table[name] not in survey.values]
    notes = [f"{counted(len(absent), 'colour')} not found in any mask: {listed(absent, 30)}"] if absent else []
    if repair and (note := repair_note(survey, known)):
        notes.append(note)
    return survey, values, names, tuple(notes)


def _what_to_write(survey: MaskSurvey, diagnosis: Diagnosis) -> str:
    guess = ", ".join(f"class{i}: {spoken(raw)}" for i, raw in enumerate(diagnosis.values))
    line = f"mask_mapper: {{name: rgb, colours: {{{guess}}}, repair: nearest}}"
    return f"{survey.folder}: {diagnosis.message}" + (
        f"; to map them to the nearest of these colours, write {line}" if guess else ""
    )


def _in_colours(survey: MaskSurvey) -> MaskSurvey:
    """The survey of gray masks, converted to colours."""
    if survey.encoding.kind == "rgb":
        return survey
    if survey.encoding.bits != 8:
        raise DataError(
            f"{survey.folder}: masks have {survey.encoding.bits}-bit gray values, not colours; use mask_mapper: gray-index"
        )
    values: dict[Raw, object] = {(int(v), int(v), int(v)): f for v, f in survey.values.items()}  # type: ignore[arg-type]
    return replace(survey, encoding=MaskEncoding("rgb", 8, None, survey.encoding.suffix, 3), values=values)  # type: ignore[arg-type]
