"""Selects the gray values that are classes: listed in the spec, in `gray-values.txt` beside the data, or found.

The file has one value per line, ascending; `#` starts a comment. It is written on first use, may be edited by hand, and
takes precedence from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segengine.data.masks.diagnosis import Diagnosis, diagnose, maybe_objects, spoken
from segengine.data.masks.mappers import repair_note, unlisted
from segengine.data.masks.mapping import MaskSurvey, Raw
from segengine.data.sources.records import listed
from segengine.errors import DataError, counted
from segengine.files import write_bytes

FILE = "gray-values.txt"


def read_gray_values(path: Path) -> tuple[int, ...]:
    """The values of a file, ascending.

    Raises:
        DataError: a line that is not a number from 0 to 65535, or a repeated value; names the line.
    """
    values: list[int] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not text.isdecimal() or int(text) > 65535:
            raise DataError(f"{path}:{number}: '{text}' is not a gray value; write one number from 0 to 65535 per line")
        if int(text) in values:
            raise DataError(f"{path}:{number}: {text} is listed twice; remove one")
        values.append(int(text))
    if len(values) < 2:
        raise DataError(
            f"{path}: lists {counted(len(values), 'value')}; list at least two, or delete the file to regenerate it"
        )
    return tuple(sorted(values))


def gray_values_text(values: Sequence[int], ignored: Sequence[int]) -> str:
    """The text of the file: values ascending, ignored values as comments."""
    lines = [
        "# Gray values of the classes, ascending: the first is class 0. Written by segengine; may be edited by hand."
    ]
    lines += [f"# {value} is ignored" for value in sorted(ignored)]
    return "\n".join([*lines, *map(str, sorted(values))]) + "\n"


@dataclass(frozen=True)
class ChosenValues:
    """The class values in order, and notes for the user.

    `unwritten` is the text of gray-values.txt if the data folder is read-only; it is then saved in the run folder.
    """

    values: tuple[int, ...]
    notes: tuple[str, ...] = ()
    unwritten: str = ""


def choose_values(
    survey: MaskSurvey, listed_values: Sequence[int] | None, ignored: Sequence[int], *, repair: bool, named: int | None
) -> ChosenValues:
    """The class values.

    Args:
        survey: survey of the masks.
        listed_values: from the spec; None for auto.
        ignored: values that are not classes.
        repair: whether unlisted values are mapped to the nearest listed one.
        named: number of class names given by the user, None for none.

    Raises:
        DataError: values that can't be used as classes, or that are not listed; says what to write.
    """
    diagnosis = diagnose(survey)
    path, unwritten = survey.folder / FILE, ""
    notes: list[str] = []
    if listed_values is not None:
        values = tuple(v for v in listed_values if v not in ignored)
        _all_listed(survey, (*values, *ignored), diagnosis, repair, "data.mask_mapper.values")
    elif path.is_file():
        values = tuple(v for v in read_gray_values(path) if v not in ignored)
        _all_listed(survey, (*values, *ignored), diagnosis, repair, str(path))
    else:
        values = _found(survey, ignored, diagnosis)
        if diagnosis.kind == "void border" and 255 not in ignored and named == len(values) - 1:
            raise DataError(f"{survey.folder}: {diagnosis.message}")
        if named not in (None, len(values)):
            return ChosenValues(values)  # a mismatch with the names raises later; don't leave a wrong list behind
        text = gray_values_text(values, [v for v in ignored if v in survey.values])
        try:
            write_bytes(path, text.encode())
        except OSError as error:
            unwritten = text
            notes.append(
                f"{path} can't be written ({error.strerror}); the values found are used and saved in the run folder as "
                f"{FILE}: {listed(values, 30)}"
            )
        if named is None and len(values) > 2 and maybe_objects(survey):
            notes.append(
                "each value is one connected component in most masks; if values are instance numbers, they are not classes"
            )
    if (diagnosis.kind == "void border" and 255 not in ignored) or (
        diagnosis.kind in ("binary", "exact") and 255 in values
    ):
        notes.append(diagnosis.message)
    elif 255 in ignored and diagnosis.kind == "binary":
        raise DataError(f"{survey.folder}: ignore: [255] leaves one class; {diagnosis.message}; remove 255 from ignore")
    absent = [v for v in values if v not in survey.values]
    if absent:
        notes.append(f"{counted(len(absent), 'listed value')} not found in any mask: {listed(absent, 30)}")
    if repair and (note := repair_note(survey, (*values, *ignored))):
        notes.append(note)
    return ChosenValues(values, tuple(notes), unwritten)


def _found(survey: MaskSurvey, ignored: Sequence[int], diagnosis: Diagnosis) -> tuple[int, ...]:
    if survey.encoding.kind == "rgb":
        raise DataError(_colours(survey, diagnosis))
    if not diagnosis.usable:
        suggestion = ""
        if diagnosis.values and diagnosis.kind != "one value":
            values = listed([spoken(v) for v in diagnosis.values], 64)
            suggestion = f"; to map all pixels to these, write mask_mapper: {{name: gray-index, values: [{values}], repair: nearest}}"
        raise DataError(f"{survey.folder}: {diagnosis.message}{suggestion}")
    return tuple(v for v in survey.values if isinstance(v, int) and v not in ignored)


def _colours(survey: MaskSurvey, diagnosis: Diagnosis) -> str:
    meant = diagnosis.values if 2 <= len(diagnosis.values) <= 64 else ()
    colours = ", ".join(f"class{i}: {spoken(raw)}" for i, raw in enumerate(meant))
    repair = "" if diagnosis.usable else ", repair: nearest"
    todo = f"; write mask_mapper: {{name: rgb, colours: {{{colours}}}{repair}}}" if meant else ""
    return f"{survey.folder}: masks have colours, not gray values: {diagnosis.message}{todo}"


def _all_listed(survey: MaskSurvey, known: Sequence[Raw], diagnosis: Diagnosis, repair: bool, where: str) -> None:
    if survey.encoding.kind == "rgb":
        raise DataError(_colours(survey, diagnosis))
    new = unlisted(survey, known)
    if not new or repair:
        return
    worst = max(new, key=lambda v: new[v])
    found = survey.values[worst]
    nearest = min(known, key=lambda k: abs(int(k) - int(worst)))  # type: ignore[arg-type]
    others = f" (and {counted(len(new) - 1, 'other')})" if len(new) > 1 else ""
    todo = (
        "add repair: nearest to data.mask_mapper" if diagnosis.kind in ("blurred", "compressed")
        else f"add {spoken(worst)} there or to ignore" + (f", or delete {FILE} to regenerate it" if where.endswith(FILE) else "")
    )  # fmt: skip
    raise DataError(
        f"{where}: value {spoken(worst)}{others} occurs in the masks but not in the list ({counted(found.pixels, 'pixel')} in "
        f"{counted(found.files, 'mask')}, first {found.first_file}; nearest listed value {spoken(nearest)}); {todo}"
    )


def choose_indices(
    survey: MaskSurvey, count: int | None, ignored: Sequence[int], *, full: bool
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Values that already are class indices, and notes for the user.

    Args:
        survey: survey of the masks.
        count: number of class names; indices are then 0..count-1.
        ignored: indices that are not classes.
        full: without names, use 0..highest instead of only the indices that occur.

    Raises:
        DataError: an index beyond the names, or masks without classes.
    """
    diagnosis = diagnose(survey)
    occurring = [int(v) for v in survey.values if isinstance(v, int) and v not in ignored]
    # Where each index has a name, many classes with one area each are classes all the same.
    named = count is not None and max(occurring, default=0) < count
    if diagnosis.kind in ("numbered objects", "blurred", "compressed", "picture") and not named:
        raise DataError(f"{survey.folder}: {diagnosis.message}")
    if count is not None:
        values = tuple(v for v in range(count + sum(1 for i in ignored if i < count)) if v not in ignored)[:count]
        beyond = [v for v in occurring if v not in values]
        if beyond:
            found = survey.values[beyond[0]]
            hint = f" ({diagnosis.message})" if diagnosis.kind == "void border" and 255 in beyond else ""
            raise DataError(
                f"{survey.folder}: value {listed(beyond, 8)} in the masks ({counted(found.pixels, 'pixel')} in "
                f"{counted(found.files, 'mask')}, first {found.first_file}) is beyond the {counted(count, 'class', 'classes')} "
                f"of data.classes; name its class there, or add it to ignore{hint}"
            )
    else:
        top = max(occurring, default=0)
        values = tuple(v for v in range(top + 1) if v not in ignored) if full else tuple(occurring)
    notes = [diagnosis.message] if diagnosis.kind == "void border" and 255 not in ignored else []
    absent = [v for v in values if v not in survey.values]
    if absent:
        notes.append(
            f"{counted(len(absent), 'class index', 'class indices')} not found in any mask: {listed(absent, 30)}"
        )
    return values, tuple(notes)
