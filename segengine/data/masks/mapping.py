"""Types shared by mask survey, mappers and dataset: encodings, surveys, labels, and the `Mapper` protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from segengine.metrics.confusion import IGNORE

Raw = int | tuple[int, int, int]
"""A value as stored in the mask file: a gray value, a palette index, or a colour (red, green, blue)."""

MOST_CLASSES = 254


Postprocess = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Post-processing of a class map uint8 [H, W], 255 = ignore: returns one of the same size."""


@dataclass(frozen=True)
class MaskEncoding:
    """Encoding of the mask files; predictions are written in the same encoding.

    `bits` per stored value (1, 2, 4, 8, 16; for rgb 8). `palette` is (red, green, blue) by index, else None.
    `suffix` is the suffix to write, ".png" if the masks' own format is lossy. `channels` is 3 for gray masks
    stored as red = green = blue.
    """

    kind: Literal["gray", "palette", "rgb"] = "gray"
    bits: int = 8
    palette: tuple[tuple[int, int, int], ...] | None = None
    suffix: str = ".png"
    channels: int = 1


@dataclass(frozen=True)
class ValueFound:
    """Occurrence of one raw value in the masks.

    `solid` is the number of pixels whose 3x3 neighbourhood has only this value, estimated from a sample of the masks.
    """

    pixels: int
    files: int
    first_file: str
    solid: int = 0


@dataclass(frozen=True, eq=False)
class MaskFacts:
    """One surveyed mask: its size and its raw values.

    `values` is uint8/uint16 [1, n] or uint8 [1, n, 3] (a one-row mask with each value once); `pixels` int64 [n].
    `encoding` is the file's encoding, `lossy` is True for lossy compression, `digest` is the SHA-256 of the file in
    hexadecimal. `notes`: remarks on how the file was read.
    """

    path: Path
    height: int
    width: int
    values: NDArray[Any]
    pixels: NDArray[np.int64]
    encoding: MaskEncoding = MaskEncoding()
    lossy: bool = False
    digest: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """Shape statistics of mask values.

    `jpeg`: number of masks stored with lossy compression. The rest are sums over a sample of the masks. Of masks that
    hold 255 and at least two other values:
    `ring_contacts`, neighbouring pixel pairs of 255 and another value; `direct_contacts`, pairs of two other values;
    `ring_pixels`, pixels of 255; `ring_thin`, those that a 7x7 erosion removes. Of the `many` masks with at least six
    values: `numbered`, those whose values above 0 are 1..n almost without gaps; `parts` and `single`, their values
    above 0, and those of them that form one connected component.
    """

    jpeg: int = 0
    ring_contacts: int = 0
    direct_contacts: int = 0
    ring_pixels: int = 0
    ring_thin: int = 0
    many: int = 0
    numbered: int = 0
    parts: int = 0
    single: int = 0


@dataclass(frozen=True)
class MaskSurvey:
    """Survey of all masks of a data set.

    `values` are sorted ascending by raw value. `folder` is the folder that holds all images and masks.
    """

    encoding: MaskEncoding
    values: Mapping[Raw, ValueFound]
    folder: Path
    masks: tuple[MaskFacts, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def pixels(self) -> int:
        """All pixels of all masks."""
        return sum(found.pixels for found in self.values.values())


@dataclass(frozen=True)
class Label:
    """One class: `index` 0..K-1, name, raw value in predictions, and colour in figures."""

    index: int
    name: str
    raw: Raw
    colour: tuple[int, int, int]


class Mapper(Protocol):
    """Raw mask values <-> classes, pixel by pixel.

    An optional attribute `notes: tuple[str, ...]` holds messages for the user (repairs, warnings).
    """

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes, in order of their index."""

    @property
    def ignored(self) -> tuple[Raw, ...]:
        """Raw values that become 255 (ignore)."""

    @property
    def encoding(self) -> MaskEncoding:
        """Encoding of the mask files."""

    def to_classes(self, raw: NDArray[Any], *, where: str = "") -> NDArray[np.uint8]:
        """Raw uint8/uint16 [H, W] or uint8 [H, W, 3] -> uint8 [H, W], 0..K-1, 255 = ignore.

        Raises:
            DataError: a value that is neither a class nor ignored; names `where`, the value, its number of pixels,
                the nearest known value, and the line to write.
        """

    def to_raw(self, classes: NDArray[np.uint8]) -> NDArray[Any]:
        """uint8 [H, W], 0..K-1, 255 = ignore -> raw values: uint8/uint16 [H, W] or uint8 [H, W, 3].

        Ignored pixels get the first ignored raw value, or the value of the first class if none is ignored.
        """


__all__ = [
    "IGNORE", "MOST_CLASSES", "Evidence", "Label", "Mapper", "MaskEncoding", "MaskFacts", "MaskSurvey", "Raw", "ValueFound",
]  # fmt: skip
