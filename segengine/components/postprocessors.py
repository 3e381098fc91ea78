"""Built-in post-processing steps of predicted class maps; the operations are in `segengine.data.masks.regions`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from segengine.components.base import Postprocessor
from segengine.errors import SpecError
from segengine.registry import suggest

if TYPE_CHECKING:
    from segengine.data.masks.mapping import Postprocess

Side = Literal["left", "right", "above", "below", "inside"]
Spacing = tuple[float, float] | None
_ONLY = Field(default=(), description="names of the classes to change; empty: all but the first")


class LargestComponent(Postprocessor):
    """Keep the largest connected component of a class, for organs and other objects that exist once per image."""

    name: Literal["largest-component"] = "largest-component"
    only: tuple[str, ...] = _ONLY
    keep: int = Field(default=1, ge=1, le=1000, description="number of components to keep per class")

    def build(self, *, classes: Sequence[str], spacing: Spacing = None) -> Postprocess:  # noqa: ARG002
        from segengine.data.masks.regions import largest_components

        indices = indices_of(self, self.only, classes)
        return lambda found: largest_components(found, indices, keep=self.keep)


class RemoveSmall(Postprocessor):
    """Remove connected components below a size; their pixels get the class around them."""

    name: Literal["remove-small"] = "remove-small"
    only: tuple[str, ...] = _ONLY
    pixels: float = Field(default=16, gt=0, le=1e9, description="smallest size that is kept, in pixels")
    mm2: float | None = Field(
        default=None,
        gt=0,
        le=1e12,
        description="smallest size in square units of `evaluation.spacing`, in place of `pixels`",
    )

    def build(self, *, classes: Sequence[str], spacing: Spacing = None) -> Postprocess:
        from segengine.data.masks.regions import remove_small

        indices, pixels = indices_of(self, self.only, classes), size_in_pixels(self, self.pixels, self.mm2, spacing)
        return lambda found: remove_small(found, indices, pixels=pixels)


class FillHoles(Postprocessor):
    """Fill holes of a class: regions of one other class that touch nothing but this class."""

    name: Literal["fill-holes"] = "fill-holes"
    only: tuple[str, ...] = _ONLY
    pixels: float | None = Field(
        default=None, gt=0, le=1e9, description="largest hole that is filled, in pixels; null: any"
    )

    def build(self, *, classes: Sequence[str], spacing: Spacing = None) -> Postprocess:  # noqa: ARG002
        from segengine.data.masks.regions import fill_holes

        indices, most = indices_of(self, self.only, classes), float("inf") if self.pixels is None else self.pixels
        return lambda found: fill_holes(found, indices, pixels=most)


class Smooth(Postprocessor):
    """Smooth borders by a majority vote in a square around each pixel."""

    name: Literal["smooth"] = "smooth"
    radius: int = Field(
        default=1, ge=1, le=50, description="half of the square's side in pixels: the side is 2 * radius + 1"
    )

    def build(self, *, classes: Sequence[str], spacing: Spacing = None) -> Postprocess:  # noqa: ARG002
        from segengine.data.masks.regions import smooth

        return lambda found: smooth(found, radius=self.radius)


class ClassRule(Postprocessor):
    """Remove components of a class outside the place where the class may be, such as a spleen on the wrong side."""

    name: Literal["class-rule"] = "class-rule"
    only: tuple[str, ...] = _ONLY
    where: Side = Field(
        default="inside", description="where a component's centroid must be; inside: half of its surrounding"
    )
    of: str | None = Field(
        default=None,
        description="class that the place relates to; null: the image's centre, for inside the first class",
    )

    def build(self, *, classes: Sequence[str], spacing: Spacing = None) -> Postprocess:  # noqa: ARG002
        from segengine.data.masks.regions import in_order, keep_where

        reference = None if self.of is None else indices_of(self, (self.of,), classes)[0]
        if reference is None and self.where == "inside":
            reference = 0
        indices = indices_of(self, self.only, classes)
        return in_order([partial(keep_where, index=index, where=self.where, reference=reference) for index in indices])


def indices_of(step: Postprocessor, names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Indices of the named classes; without names, of all but the first.

    Raises:
        SpecError: an unknown class.
    """
    if not names:
        return list(range(1, len(classes)))
    for name in names:
        if name not in classes:
            hint = suggest(name, classes) or f"classes: {', '.join(classes)}"
            raise SpecError(f"{step.name}: there is no class '{name}'; {hint}")
    return [list(classes).index(name) for name in names]


def size_in_pixels(step: Postprocessor, pixels: float, mm2: float | None, spacing: Spacing) -> float:
    """A size in pixels; `mm2`, in square units of the spacing, takes its place.

    Raises:
        SpecError: square units without spacing.
    """
    if mm2 is None:
        return pixels
    if spacing is None:
        raise SpecError(f"{step.name}: mm2 needs evaluation.spacing, the distance of pixels; set it, or give pixels")
    return mm2 / (spacing[0] * spacing[1])
