"""The files that describe all predicted images together: areas as CSV and annotations as COCO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segengine.data.masks.mapping import Label
from segengine.files import json_text
from segengine.inference.predict import areas, coco
from segengine.inference.predict.outputs import COCO, CSV, Result


@dataclass
class Tables:
    """Collects the images' rows, in the order of the images; `spacing`: millimetres between rows, columns and slices."""

    labels: Sequence[Label]
    outputs: Sequence[str]
    spacing: Sequence[float] | None = None
    _rows: list[Sequence[Any]] = field(default_factory=list)
    _images: list[dict[str, Any]] = field(default_factory=list)
    _annotations: list[dict[str, Any]] = field(default_factory=list)

    def add(self, place: Path, result: Result) -> None:
        """Add an image; `place` is its path below the output folder."""
        classes = result.band.classes
        if CSV in self.outputs:
            own = result.source.spacing if result.source.millimetres else None
            found = areas.areas(classes, self.labels, self.spacing or own)
            self._rows += areas.csv_rows(place.as_posix(), found)
        if COCO in self.outputs:
            number = len(self._images) + 1
            height, width = classes.shape
            self._images.append({"id": number, "file_name": place.as_posix(), "height": height, "width": width})
            self._annotations += coco.components_of(classes, self.labels, number, len(self._annotations) + 1)

    def content(self, output: str) -> str:
        """The text of one of the files."""
        if output == CSV:
            return areas.csv_document(self._rows)
        return json_text(
            {"images": self._images, "annotations": self._annotations, "categories": coco.categories(self.labels)}
        )
