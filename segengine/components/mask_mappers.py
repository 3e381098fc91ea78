"""Built-in mask mappers: gray values, palette indices, colours, class indices, and instance masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from segengine.components.base import MaskMapper
from segengine.errors import DataError

if TYPE_CHECKING:
    from segengine.data.masks.mapping import Mapper, MaskSurvey

GrayValue = Annotated[int, Field(ge=0, le=65535)]
Part = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Part, Part, Part]


class ClassMapper(MaskMapper):
    """Masks in which values are classes, which can be merged and dropped by their names."""

    merge: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        default={},
        description="classes that become one: new name -> names of classes, as {vehicle: [car, truck]}; predictions have the value of "
        "the first of them. {background: [background, pole]} adds a class to another",
    )
    drop: tuple[str, ...] = Field(
        default=(),
        description="names of classes whose pixels are ignored: neither trained on nor scored, and never predicted",
    )


class GrayIndex(ClassMapper):
    """Gray values or palette indices, sorted or as listed: the first is class 0."""

    name: Literal["gray-index"] = "gray-index"
    values: Literal["auto"] | tuple[GrayValue, ...] = Field(
        default="auto",
        description="gray values of the classes in order; auto: from gray-values.txt beside the data, written if missing",
    )
    ignore: tuple[GrayValue, ...] = Field(
        default=(), description="gray values that are not classes, such as a void border"
    )
    repair: Literal["none", "nearest"] = Field(
        default="none",
        description="unlisted values: an error, or mapped to the nearest listed value and counted",
    )

    @field_validator("values")
    @classmethod
    def _distinct(cls, values: str | tuple[int, ...]) -> str | tuple[int, ...]:
        if not isinstance(values, str) and (len(values) < 2 or len(set(values)) < len(values)):
            raise ValueError("list at least two different values")
        return values

    def build(self, *, classes: Sequence[str] | None, found: MaskSurvey) -> Mapper:
        """The mapping; raises DataError if values can't be used as classes or don't match the names."""
        from segengine.data.masks.gray_values import choose_values
        from segengine.data.masks.mappers import GrayMapper
        from segengine.data.masks.selection import select_classes

        listed = None if self.values == "auto" else tuple(int(v) for v in self.values)
        repair = self.repair == "nearest"
        named = None if classes is None else len(classes)
        chosen = choose_values(found, listed, self.ignore, repair=repair, named=named)
        kept = select_classes(chosen.values, classes, found, self.merge, self.drop)
        return GrayMapper(
            kept.labels, (*self.ignore, *kept.dropped), found.encoding, repair, (*chosen.notes, *kept.notes),
            values_file=chosen.unwritten, merged=kept.merged,
        )  # fmt: skip


class Palette(ClassMapper):
    """Indexed (palette) masks in which the index is the class."""

    name: Literal["palette"] = "palette"
    ignore: tuple[Part, ...] = Field(
        default=(), description="palette indices that are not classes, such as VOC's border 255"
    )

    def build(self, *, classes: Sequence[str] | None, found: MaskSurvey) -> Mapper:
        """With names, indices 0..K-1 are the classes; without, those that occur."""
        if found.encoding.kind != "palette":
            raise DataError(
                f"{found.folder}: masks have no palette but are {found.encoding.kind}; "
                f"use mask_mapper: {'rgb' if found.encoding.kind == 'rgb' else 'gray-index'}"
            )
        return _by_index(self, classes, found)


class Index(ClassMapper):
    """Masks whose values are the classes 0..K-1 already."""

    name: Literal["index"] = "index"
    ignore: tuple[GrayValue, ...] = Field(default=(), description="values that are not classes")

    def build(self, *, classes: Sequence[str] | None, found: MaskSurvey) -> Mapper:
        """K is the number of names, or the highest value plus one."""
        if found.encoding.kind == "rgb":
            raise DataError(f"{found.folder}: masks have colours, not class indices; use mask_mapper: rgb")
        return _by_index(self, classes, found, full=True)


class Rgb(ClassMapper):
    """Coloured masks: each class has one colour."""

    name: Literal["rgb"] = "rgb"
    colours: Literal["auto"] | dict[str, Colour] = Field(
        default="auto", description="class name -> [red, green, blue], in order; auto: the colours found, sorted"
    )
    ignore: tuple[Colour, ...] = Field(default=(), description="colours that are not classes")
    repair: Literal["none", "nearest"] = Field(
        default="none",
        description="unlisted colours: an error, or mapped to the nearest listed one and counted",
    )

    def build(self, *, classes: Sequence[str] | None, found: MaskSurvey) -> Mapper:
        """The mapping; raises DataError for missing or too many colours, or names that don't match."""
        from segengine.data.masks.colours import choose_colours
        from segengine.data.masks.mappers import ColourMapper
        from segengine.data.masks.selection import select_classes

        table: Mapping[str, Colour] | None = None if isinstance(self.colours, str) else self.colours
        repair = self.repair == "nearest"
        survey, values, names, notes = choose_colours(found, table, classes, self.ignore, repair=repair)
        kept = select_classes(values, names, survey, self.merge, self.drop)
        return ColourMapper(
            kept.labels,
            (*self.ignore, *kept.dropped),
            survey.encoding,
            repair,
            (*notes, *kept.notes),
            merged=kept.merged,
        )


class Foreground(MaskMapper):
    """Instance masks: one value is background, all other values are the object class."""

    name: Literal["foreground"] = "foreground"
    background: GrayValue = Field(default=0, description="the value of the background")
    ignore: tuple[GrayValue, ...] = Field(default=(), description="values that are neither background nor object")

    def build(self, *, classes: Sequence[str] | None, found: MaskSurvey) -> Mapper:
        """The mapping; predictions hold the background's value and 1 (0 where the background isn't 0)."""
        from segengine.data.masks.foreground import foreground_mapper

        return foreground_mapper(found, classes, self.background, self.ignore)


def _by_index(
    mapper: Palette | Index, classes: Sequence[str] | None, found: MaskSurvey, *, full: bool = False
) -> Mapper:
    from segengine.data.masks.gray_values import choose_indices
    from segengine.data.masks.mappers import GrayMapper
    from segengine.data.masks.selection import select_classes

    named = len(classes) if classes is not None else None
    values, notes = choose_indices(found, named, mapper.ignore, full=full)
    kept = select_classes(values, classes, found, mapper.merge, mapper.drop)
    advice = "add {value} to ignore in data.mask_mapper, or name its class in data.classes"
    ignored = (*mapper.ignore, *kept.dropped)
    return GrayMapper(
        kept.labels, ignored, found.encoding, False, (*notes, *kept.notes), advice, merged=kept.merged
    )  # fmt: skip
