"""What kind of masks these are: classes, a void border, blurred, compressed, numbered objects, or colours.

A pure function of the survey. Real class masks have few values that fill areas; anti-aliasing and resizing make
values that occur only along edges; object numbers are many, consecutive, and one connected piece each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segengine.data.masks.mapping import MOST_CLASSES, MaskSurvey, Raw
from segengine.data.sources.records import counted, listed

Kind = Literal[
    "one value", "binary", "exact", "void border", "blurred", "compressed", "numbered objects", "colours", "picture"
]

_VOID = 255
_MANY_OBJECTS = 32
_EDGE_ONLY = 0.1
_NEAR = 12


@dataclass(frozen=True)
class Diagnosis:
    """`kind` of the masks, one sentence why, and the values that are classes as far as can be told."""

    kind: Kind
    message: str
    values: tuple[Raw, ...]

    @property
    def usable(self) -> bool:
        """Whether each value found can be taken for a class as it is."""
        return self.kind in ("binary", "exact", "void border", "colours")


def diagnose(survey: MaskSurvey) -> Diagnosis:
    """What the values in the masks are, and why."""
    values = tuple(survey.values)
    edge = edge_values(survey)
    blurred = len(edge) >= max(6, len(values) / 2)
    if len(values) == 1:
        return Diagnosis(
            "one value", f"all masks hold the value {spoken(values[0])} only; there is nothing to learn", values
        )
    if survey.encoding.kind == "rgb":
        if blurred or len(values) > MOST_CLASSES:
            return _many(survey, edge)
        return Diagnosis("colours", f"masks have {counted(len(values), 'colour')}: {_found(survey)}", values)
    if len(values) == 2:
        return Diagnosis("binary", f"masks are binary: {_found(survey)}{_foreground(values)}", values)
    if _are_objects(survey, edge):
        return Diagnosis("numbered objects", _objects(survey), ())
    if blurred or (survey.evidence.jpeg and len(values) > 2) or len(values) > MOST_CLASSES:
        return _many(survey, edge)
    if _VOID in survey.values:
        return _with_255(survey, values)
    return Diagnosis("exact", f"masks hold {counted(len(values), 'exact value')}: {_found(survey)}", values)


def edge_values(survey: MaskSurvey) -> tuple[Raw, ...]:
    """Values that hardly ever fill a 3x3 neighbourhood: they live along edges."""
    return tuple(raw for raw, found in survey.values.items() if found.solid < _EDGE_ONLY * found.pixels)


def spoken(raw: Raw) -> str:
    """A raw value as it is written in a spec."""
    return str(raw) if isinstance(raw, int) else f"[{raw[0]}, {raw[1]}, {raw[2]}]"


def maybe_objects(survey: MaskSurvey) -> bool:
    """Whether even few values look like numbers of objects rather than classes."""
    e = survey.evidence
    return bool(e.many) and e.numbered >= 0.9 * e.many and e.single >= 0.95 * e.parts


def _are_objects(survey: MaskSurvey, edge: tuple[Raw, ...]) -> bool:
    e, count = survey.evidence, len(survey.values)
    solid = len(edge) < count / 2
    numbered = bool(e.many) and e.numbered >= 0.8 * e.many and e.single >= 0.8 * e.parts
    return count > _MANY_OBJECTS and solid and (numbered or count > MOST_CLASSES) and not survey.evidence.jpeg


def _objects(survey: MaskSurvey) -> str:
    e, values = survey.evidence, list(survey.values)
    share = round(100 * e.single / max(1, e.parts))
    return (
        f"masks hold {counted(len(values), 'value')} from {spoken(values[0])} to {spoken(values[-1])}, and {share} % of the "
        "values checked are one connected piece: these are numbers of objects, not classes; semantic segmentation needs "
        "masks in which all objects of one kind have one value (for example 0 background, 1 object)"
    )


def _with_255(survey: MaskSurvey, values: tuple[Raw, ...]) -> Diagnosis:
    e = survey.evidence
    rings = e.ring_contacts > 0 and e.direct_contacts < 0.05 * e.ring_contacts and e.ring_thin > 0.5 * e.ring_pixels
    via = 100 * e.ring_contacts / max(1, e.ring_contacts + e.direct_contacts)
    thin = 100 * e.ring_thin / max(1, e.ring_pixels)
    facts = f"{via:.0f} % of the borders between values have 255 on one side, and {thin:.0f} % of 255 is within 3 pixels of its edge"
    if rings:
        return Diagnosis(
            "void border",
            f"255 is a void border: it rings objects ({facts}); write ignore: [255] in data.mask_mapper",
            tuple(v for v in values if v != _VOID),
        )
    return Diagnosis(
        "exact", f"255 is taken for a class: it fills areas ({facts}); masks hold {_found(survey)}", values
    )


def _many(survey: MaskSurvey, edge: tuple[Raw, ...]) -> Diagnosis:
    """Anti-aliased, resized or compressed masks: many values of which few are meant."""
    guess = _meant(survey, edge)
    count = len(survey.values)
    near = sum(survey.values[v].pixels for v in guess if v in survey.values)
    other = f"{100 * (survey.pixels - near) / survey.pixels:.2g} % of the pixels have another value"
    what = "colours" if survey.encoding.kind == "rgb" else "values"
    if not 2 <= len(guess) <= 64 or near < 0.5 * survey.pixels:
        return Diagnosis(
            "picture", f"masks hold {count} {what} without clear classes; are these pictures, not masks?", ()
        )
    meant = listed([spoken(v) for v in guess], 12)
    if survey.evidence.jpeg:
        why = f"{counted(survey.evidence.jpeg, 'mask')} {'is' if survey.evidence.jpeg == 1 else 'are'} JPEG, which changes values"
        return Diagnosis("compressed", f"masks hold {count} {what}, probably meant: {meant}; {why} ({other})", guess)
    why = f"{len(edge)} of them occur only along edges, as anti-aliasing and resizing make them"
    return Diagnosis("blurred", f"masks hold {count} {what}, probably meant: {meant}; {why} ({other})", guess)


def _meant(survey: MaskSurvey, edge: tuple[Raw, ...]) -> tuple[Raw, ...]:
    """Values that fill areas; of JPEG's the fuller one of each two that are near, and ends snap to 0 and 255."""
    hard = [raw for raw in survey.values if raw not in set(edge)]
    least = 1e-4 * survey.pixels
    kept: list[Raw] = []
    for raw in sorted(hard, key=lambda v: -survey.values[v].solid):
        apart = not survey.evidence.jpeg or all(distance(raw, other) > _NEAR for other in kept)
        if survey.values[raw].pixels >= least and apart:
            kept.append(raw)
    if survey.evidence.jpeg:
        kept = [_snapped(raw) for raw in kept]
    return tuple(sorted(kept))


def _snapped(raw: Raw) -> Raw:
    def end(v: int) -> int:
        return 0 if v <= _NEAR // 2 else 255 if 255 - _NEAR // 2 <= v <= 255 else v

    return end(raw) if isinstance(raw, int) else (end(raw[0]), end(raw[1]), end(raw[2]))


def distance(one: Raw, two: Raw) -> int:
    """Largest difference in a channel."""
    if isinstance(one, int) and isinstance(two, int):
        return abs(one - two)
    assert isinstance(one, tuple)
    assert isinstance(two, tuple)
    return max(abs(a - b) for a, b in zip(one, two, strict=True))


def _foreground(values: tuple[Raw, ...]) -> str:
    return "; 255 is the foreground: with two values there is nothing that it could ring" if values == (0, 255) else ""


def _found(survey: MaskSurvey) -> str:
    total = survey.pixels
    return listed([f"{spoken(raw)} ({100 * found.pixels / total:.3g} %)" for raw, found in survey.values.items()], 24)
