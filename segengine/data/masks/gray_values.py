"""Which gray values are classes: listed in the spec, in `gray-values.txt` beside the data, or found in the masks.

The file has one value a line, ascending; `#` begins a comment. It is written at the first use, can be edited by
hand, and is the truth from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segengine.data.masks.diagnosis import Diagnosis, diagnose, maybe_objects, spoken
from segengine.data.masks.mappers import repair_note, unlisted
from segengine.data.masks.mapping import MaskSurvey, Raw
from segengine.data.sources.records import counted, listed
from segengine.errors import DataError
from segengine.files import write_bytes

FILE = "gray-values.txt"


def read_gray_values(path: Path) -> tuple[int, ...]:
    """The values of a file, ascending.

    Raises:
        DataError: a line that is no number from 0 to 65535, or a value twice, with its line.
    """
    values: list[int] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not text.isdecimal() or int(text) > 65535:
            raise DataError(f"{path}:{number}: '{text}' is no gray value; write one number from 0 to 65535 a line")
        if int(text) in values:
            raise DataError(f"{path}:{number}: {text} is there twice; remove one")
        values.append(int(text))
    if len(values) < 2:
        raise DataError(
            f"{path}: lists {counted(len(values), 'value')}; list at least two, or delete the file to have it made anew"
        )
    return tuple(sorted(values))


def gray_values_text(values: Sequence[int], ignored: Sequence[int]) -> str:
    """What the file holds: values ascending, ignored ones as comments."""
    lines = ["# Gray values of the classes, ascending: the first is class 0. Made by segengine, may be edited by hand."]
    lines += [f"# {value} is ignored" for value in sorted(ignored)]
    return "\n".join([*lines, *map(str, sorted(values))]) + "\n"


@dataclass(frozen=True)
class ChosenValues:
    """The values that are classes, in order, and notes for the user.

    `unwritten` is the text of gray-values.txt where the data's folder can't be written to: it belongs into the run
    folder then.
    """

    values: tuple[int, ...]
    notes: tuple[str, ...] = ()
    unwritten: str = ""


def choose_values(
    survey: MaskSurvey, listed_values: Sequence[int] | None, ignored: Sequence[int], *, repair: bool, named: int | None
) -> ChosenValues:
    """The values that are classes.

    Args:
        survey: what the masks hold.
        listed_values: from the spec; None for auto.
        ignored: values that are no class.
        repair: whether other values may move to the nearest listed one.
        named: how many class names the user gave, None without.

    Raises:
        DataError: values that can't be taken for classes, or that a list lacks; says what to write.
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
            return ChosenValues(values)  # the names don't fit, which ends in an error; a wrong list must not outlive it
        text = gray_values_text(values, [v for v in ignored if v in survey.values])
        try:
            write_bytes(path, text.encode())
        except OSError as error:
            unwritten = text
            notes.append(
                f"{path} can't be written ({error.strerror}); the values found are used, and the run folder keeps "
                f"{FILE}: {listed(values, 30)}"
            )
        if named is None and len(values) > 2 and maybe_objects(survey):
            notes.append(
                "each value is one connected piece in most masks; if values number objects, they are no classes"
            )
    if (diagnosis.kind == "void border" and 255 not in ignored) or (
        diagnosis.kind in ("binary", "exact") and 255 in values
    ):
        notes.append(diagnosis.message)
    elif 255 in ignored and diagnosis.kind == "binary":
        raise DataError(f"{survey.folder}: ignore: [255] leaves one class; {diagnosis.message}; remove 255 from ignore")
    absent = [v for v in values if v not in survey.values]
    if absent:
        notes.append(
            f"{counted(len(absent), 'listed value')} {'is' if len(absent) == 1 else 'are'} in no mask: {listed(absent, 30)}"
        )
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
            suggestion = (
                f"; if that is meant, write mask_mapper: {{name: gray-index, values: [{values}], repair: nearest}}"
            )
        raise DataError(f"{survey.folder}: {diagnosis.message}{suggestion}")
    return tuple(v for v in survey.values if isinstance(v, int) and v not in ignored)


def _colours(survey: MaskSurvey, diagnosis: Diagnosis) -> str:
    meant = diagnosis.values if 2 <= len(diagnosis.values) <= 64 else ()
    colours = ", ".join(f"class{i}: {spoken(raw)}" for i, raw in enumerate(meant))
    repair = "" if diagnosis.usable else ", repair: nearest"
    todo = f"; write mask_mapper: {{name: rgb, colours: {{{colours}}}{repair}}}" if meant else ""
    return f"{survey.folder}: masks are coloured, not gray: {diagnosis.message}{todo}"


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
        else f"add {spoken(worst)} there or to ignore" + (f", or delete {FILE} to have it made anew" if where.endswith(FILE) else "")
    )  # fmt: skip
    raise DataError(
        f"{where}: value {spoken(worst)}{others} is in the masks and not in the list ({counted(found.pixels, 'pixel')} in "
        f"{counted(found.files, 'mask')}, first {found.first_file}; nearest listed value {spoken(nearest)}); {todo}"
    )


def choose_indices(
    survey: MaskSurvey, count: int | None, ignored: Sequence[int], *, full: bool
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Values that are class indices already, and notes for the user.

    Args:
        survey: what the masks hold.
        count: how many classes are named; indices are then 0..count-1.
        ignored: indices that are no class.
        full: without names, take 0..highest, and not only the indices that occur.

    Raises:
        DataError: an index beyond the names, or masks that hold no classes.
    """
    diagnosis = diagnose(survey)
    if diagnosis.kind in ("numbered objects", "blurred", "compressed", "picture"):
        raise DataError(f"{survey.folder}: {diagnosis.message}")
    occurring = [int(v) for v in survey.values if isinstance(v, int) and v not in ignored]
    if count is not None:
        values = tuple(v for v in range(count + sum(1 for i in ignored if i < count)) if v not in ignored)[:count]
        beyond = [v for v in occurring if v not in values]
        if beyond:
            found = survey.values[beyond[0]]
            hint = f" ({diagnosis.message})" if diagnosis.kind == "void border" and 255 in beyond else ""
            raise DataError(
                f"{survey.folder}: value {listed(beyond, 8)} in the masks ({counted(found.pixels, 'pixel')} in "
                f"{counted(found.files, 'mask')}, first {found.first_file}) is beyond the {counted(count, 'class', 'classes')} "
                f"of data.classes; name its class there, or put it into ignore{hint}"
            )
    else:
        top = max(occurring, default=0)
        values = tuple(v for v in range(top + 1) if v not in ignored) if full else tuple(occurring)
    notes = [diagnosis.message] if diagnosis.kind == "void border" and 255 not in ignored else []
    absent = [v for v in values if v not in survey.values]
    if absent:
        notes.append(f"{counted(len(absent), 'class index', 'class indices')} in no mask: {listed(absent, 30)}")
    return values, tuple(notes)
