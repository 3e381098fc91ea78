"""Classes with name, raw value and colour, from the user's names and the values in the masks."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.data.masks.diagnosis import spoken
from segengine.data.masks.mapping import MOST_CLASSES, Label, MaskSurvey, Raw
from segengine.data.sources.records import listed
from segengine.errors import DataError, counted

# Okabe and Ito (2008), distinguishable with colour vision deficiency; sky blue to black by contrast.
_CYCLE = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip


def make_labels(
    values: Sequence[Raw],
    classes: Sequence[str] | None,
    survey: MaskSurvey,
) -> tuple[Label, ...]:
    """One label per value, in the same order; without class names, the raw values are the names.

    Raises:
        DataError: fewer than 2 or more than 254 values, or a different number of names; lists values with their
            pixel shares.
    """
    check_number(values, classes, survey)
    if not 2 <= len(values) <= MOST_CLASSES:
        few = len(values) < 2
        todo = "" if few else "; join or leave out classes by merge and drop in data.mask_mapper (docs/data.md)"
        raise DataError(
            f"{survey.folder}: {counted(len(values), 'class', 'classes')}; a mask needs 2 to {MOST_CLASSES}{todo}"
        )
    names = list(classes) if classes is not None else [name_of(raw) for raw in values]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"data.classes: '{repeated[0]}' is listed twice; class names must be unique")
    return tuple(
        Label(i, name, raw, _colour(i, raw, survey)) for i, (name, raw) in enumerate(zip(names, values, strict=True))
    )


def check_number(values: Sequence[Raw], classes: Sequence[str] | None, survey: MaskSurvey) -> None:
    """Check that there are as many names as values. Raises DataError; lists values with their pixel shares."""
    if classes is not None and len(classes) != len(values):
        raise DataError(_mismatch(values, classes, survey))


def name_of(raw: Raw) -> str:
    """The default name of a class: its raw value."""
    return str(raw) if isinstance(raw, int) else ",".join(map(str, raw))


def _colour(index: int, raw: Raw, survey: MaskSurvey) -> tuple[int, int, int]:
    if isinstance(raw, tuple):
        return raw
    palette = survey.encoding.palette
    if palette is not None and raw < len(palette):
        return palette[raw]
    return class_colour(index, background=raw == 0)


def class_colour(index: int, *, background: bool = False) -> tuple[int, int, int]:
    """The colour of a class in figures: background black, then Okabe and Ito's seven, then PASCAL VOC's colour map."""
    if background:
        return (0, 0, 0)
    if 1 <= index <= len(_CYCLE):
        return _CYCLE[index - 1]
    bits = [[(index >> (3 * j + channel)) & 1 for j in range(8)] for channel in range(3)]
    red, green, blue = (sum(bit << (7 - j) for j, bit in enumerate(channel)) for channel in bits)
    return (red, green, blue)


def _mismatch(values: Sequence[Raw], classes: Sequence[str], survey: MaskSurvey) -> str:
    rows = []
    for i in range(max(len(values), len(classes))):
        name = classes[i] if i < len(classes) else "no name"
        if i < len(values):
            found = survey.values.get(values[i])
            pixels = (
                f"{100 * found.pixels / max(1, survey.pixels):.3g} % of the pixels"
                if found
                else "not found in any mask"
            )
            rows.append(f"{spoken(values[i])} ({pixels}): {name}")
        else:
            rows.append(f"no value: {name}")
    what = "colour" if values and isinstance(values[0], tuple) else "value"
    many, few = counted(len(values), what), counted(len(classes), "name")
    todo = (
        "name each of them in data.classes, or add values that are not classes to ignore"
        if len(values) > len(classes)
        else f"remove names from data.classes, or list the {what}s of all classes in data.mask_mapper"
    )
    return f"{survey.folder}: masks have {many} but data.classes has {few}: {listed(rows, 30)}; {todo}"
