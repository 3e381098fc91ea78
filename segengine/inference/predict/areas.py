"""Areas and numbers of connected components of predicted classes, as rows of a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.masks.mapping import Label
from segengine.files import csv_cell

HEADER = ("image", "class", "value", "pixels", "share", "components", "mm2", "ml")


@dataclass(frozen=True)
class Area:
    """One class of one image; `mm2` and `ml` are None without the spacing they need."""

    label: Label
    pixels: int
    share: float
    components: int
    mm2: float | None = None
    ml: float | None = None


def areas(classes: NDArray[np.uint8], labels: Sequence[Label], spacing: Sequence[float] | None) -> list[Area]:
    """Pixels, share of the pixels with a class, and components (also joined by corners) of each class of uint8 [H, W].

    `spacing`: millimetres between rows, columns and, for volumes, slices.
    """
    import cv2

    counts = np.bincount(classes.ravel(), minlength=256)
    total = max(1, int(counts[: len(labels)].sum()))
    found = []
    for label in labels:
        pixels = int(counts[label.index])
        components = 0
        if pixels:
            components = int(cv2.connectedComponents((classes == label.index).astype(np.uint8), connectivity=8)[0]) - 1
        mm2 = ml = None
        if spacing is not None:
            mm2 = pixels * spacing[0] * spacing[1]
            ml = mm2 * spacing[2] / 1000 if len(spacing) > 2 else None
        found.append(Area(label, pixels, pixels / total, components, mm2, ml))
    return found


def csv_rows(image: str, found: Iterable[Area]) -> list[list[Any]]:
    """The rows of one image."""
    return [
        [
            csv_cell(image), csv_cell(each.label.name), _value(each.label), each.pixels, f"{each.share:.6f}",
            each.components, "" if each.mm2 is None else f"{each.mm2:.6g}", "" if each.ml is None else f"{each.ml:.6g}",
        ] for each in found
    ]  # fmt: skip


def csv_document(rows: Iterable[Sequence[Any]]) -> str:
    """The whole file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows)
    return buffer.getvalue()


def _value(label: Label) -> str:
    return " ".join(map(str, label.raw)) if isinstance(label.raw, tuple) else str(label.raw)
