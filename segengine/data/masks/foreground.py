"""Maps instance masks, one number per object, to background and foreground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.masks.labels import class_colour
from segengine.data.masks.mapping import IGNORE, Label, MaskEncoding, MaskSurvey, Raw
from segengine.errors import DataError, counted


@dataclass(frozen=True, eq=False)
class ForegroundMapper:
    """Maps one value to the background and every other value that is not ignored to the object class."""

    labels: tuple[Label, ...]
    ignored: tuple[Raw, ...]
    encoding: MaskEncoding
    notes: tuple[str, ...] = ()

    def to_classes(self, raw: NDArray[Any], *, where: str = "") -> NDArray[np.uint8]:
        """Raw uint8/uint16 [H, W] -> uint8 [H, W], 0, 1 and 255; raises DataError for colours."""
        if raw.ndim != 2:
            raise DataError(f"{where}: the mask has colours; mask_mapper: foreground needs gray values; use rgb")
        classes: NDArray[np.uint8] = np.not_equal(raw, int(self.labels[0].raw)).astype(np.uint8)  # type: ignore[arg-type]
        classes[np.isin(raw, np.array(self.ignored, np.int64))] = IGNORE
        return classes

    def to_raw(self, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Classes uint8 [H, W] -> 0 or the background's value, and the object's value."""
        table = np.zeros(256, np.uint8)
        table[:2] = [int(label.raw) for label in self.labels if isinstance(label.raw, int)]
        table[IGNORE] = int(self.ignored[0]) if self.ignored and isinstance(self.ignored[0], int) else table[0]
        return np.asarray(table[classes])


def foreground_mapper(
    found: MaskSurvey, classes: Sequence[str] | None, background: int, ignored: Sequence[int]
) -> ForegroundMapper:
    """The mapper for instance masks. Raises DataError for RGB masks, and if object or background is missing."""
    if found.encoding.kind == "rgb":
        raise DataError(f"{found.folder}: masks have colours; mask_mapper: foreground needs gray values; use rgb")
    if classes is not None and len(classes) != 2:
        raise DataError(
            f"data.classes has {counted(len(classes), 'name')}, but mask_mapper: foreground has two classes: the background and "
            "the object"
        )
    objects = [v for v in found.values if isinstance(v, int) and v != background and v not in ignored]
    if not objects or background not in found.values:
        raise DataError(f"{found.folder}: masks have no {'object' if not objects else f'background {background}'}")
    names = classes or ("background", "object")
    raw = 1 if background == 0 else 0
    labels = (
        Label(0, names[0], background, class_colour(0, background=True)),
        Label(1, names[1], raw, class_colour(1)),
    )
    note = f"{counted(len(objects), 'value')} in the masks, from {objects[0]} to {objects[-1]}, are all {names[1]}"
    return ForegroundMapper(labels, tuple(ignored), MaskEncoding(), (note,))
