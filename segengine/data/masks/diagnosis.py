"""Classifies masks: class values, void border, blurred, compressed, instance numbers, or colours.

A pure function of the survey. Class masks have few values that fill areas; anti-aliasing and resizing create values
that occur only along edges; instance numbers are many, consecutive, and one connected component each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segengine.data.masks.mapping import MOST_CLASSES, MaskSurvey, Raw
from segengine.data.sources.records import listed
from segengine.errors import counted

Kind = Literal[
    "one value", "binary", "exact", "void border", "blurred", "compressed", "numbered objects", "colours", "picture"
]

_VOID = 255
_MANY_OBJECTS = 32
_EDGE_ONLY = 0.1
_NEAR = 12


@dataclass(frozen=True)
class Diagnosis:
    """The `kind` of the masks, one sentence of evidence, and the values that are probably classes."""

    kind: Kind
    message: str
    values: tuple[Raw, ...]

    @property
    def usable(self) -> bool:
        """Whether every value found can be used as a class without repair."""
        return self.kind in ("binary", "exact", "void border", "colours")


def diagnose(survey: MaskSurvey) -> Diagnosis:
    """Diagnose the values of the masks."""
    values = tuple(survey.values)
    edge = edge_values(survey)
    blurred = len(edge) >= max(6, len(values) / 2)
    if len(values) == 1:
        return Diagnosis(
            "one value",
            f"all masks have the single value {spoken(values[0])}; training needs at least two classes",
            values,
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
    """Values that rarely fill a 3x3 neighbourhood: they occur along edges."""
    return tuple(raw for raw, found in survey.values.items() if found.solid < _EDGE_ONLY * found.pixels)


def spoken(raw: Raw) -> str:
    """A raw value in the notation of an experiment file."""
    return str(raw) if isinstance(raw, int) else f"[{raw[0]}, {raw[1]}, {raw[2]}]"


def maybe_objects(survey: MaskSurvey) -> bool:
    """Whether the values, even if few, look like instance numbers rather than classes."""
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
        "values checked are one connected component: these are instance numbers, not classes; semantic segmentation needs "
        "masks with one value per class (for example 0 background, 1 object)"
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
    return Diagnosis("exact", f"255 is used as a class: it fills areas ({facts}); masks hold {_found(survey)}", values)


def _many(survey: MaskSurvey, edge: tuple[Raw, ...]) -> Diagnosis:
    """Anti-aliased, resized or compressed masks: many values, few of them intended."""
    guess = _meant(survey, edge)
    count = len(survey.values)
    near = sum(survey.values[v].pixels for v in guess if v in survey.values)
    other = f"{100 * (survey.pixels - near) / survey.pixels:.2g} % of the pixels have another value"
    what = "colours" if survey.encoding.kind == "rgb" else "values"
    if not 2 <= len(guess) <= 64 or near < 0.5 * survey.pixels:
        return Diagnosis(
            "picture", f"masks hold {count} {what} without clear classes; these look like images, not masks", ()
        )
    meant = listed([spoken(v) for v in guess], 12)
    if survey.evidence.jpeg:
        why = f"{counted(survey.evidence.jpeg, 'mask')} {'is' if survey.evidence.jpeg == 1 else 'are'} JPEG, which changes values"
        return Diagnosis("compressed", f"masks hold {count} {what}, probably intended: {meant}; {why} ({other})", guess)
    why = f"{len(edge)} of them occur only along edges, as after anti-aliasing or resizing"
    return Diagnosis("blurred", f"masks hold {count} {what}, probably intended: {meant}; {why} ({other})", guess)


def _meant(survey: MaskSurvey, edge: tuple[Raw, ...]) -> tuple[Raw, ...]:
    """Values that fill areas; for JPEG the more frequent of two close values, with the ends snapped to 0 and 255."""
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
    """Largest difference over the channels."""
    if isinstance(one, int) and isinstance(two, int):
        return abs(one - two)
    assert isinstance(one, tuple)
    assert isinstance(two, tuple)
    return max(abs(a - b) for a, b in zip(one, two, strict=True))


def _foreground(values: tuple[Raw, ...]) -> str:
    return "; 255 is the foreground: with only two values it can't be a void border" if values == (0, 255) else ""


def _found(survey: MaskSurvey) -> str:
    total = survey.pixels
    return listed([f"{spoken(raw)} ({100 * found.pixels / total:.3g} %)" for raw, found in survey.values.items()], 24)
