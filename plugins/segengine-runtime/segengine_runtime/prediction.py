"""The prediction for one image, with the values, names and colours of the training masks."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segengine_runtime.errors import ModelError

IGNORE = 255
"""The class index of ignored pixels."""
_WIDEST_DISPLAY_PIXELS = 512


@dataclass(frozen=True)
class Label:
    """One class: index 0..K-1, name, value in the training masks (a gray value, or red, green, blue), colour."""

    index: int
    name: str
    raw: int | tuple[int, int, int]
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Encoding:
    """Encoding of mask files.

    Attributes:
        kind: gray, palette or rgb.
        bits: bits per value.
        suffix: suffix of the files, such as `.png`.
        palette: at most 256 colours.
    """

    kind: str
    bits: int
    suffix: str = ".png"
    palette: tuple[tuple[int, int, int], ...] | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction for one image.

    Attributes:
        mask: uint8 or uint16 [H, W] in the values of the training masks, or uint8 [H, W, 3] if these are colours.
        classes: uint8 [H, W], 0..K-1, 255 = ignored.
        image: uint8 [H, W, C], the image after windowing and channel conversion.
        source: the image file; None for arrays.
    """

    mask: NDArray[Any]
    classes: NDArray[np.uint8]
    image: NDArray[np.uint8]
    labels: tuple[Label, ...]
    encoding: Encoding
    source: Path | None
    compute_probabilities: Callable[[], NDArray[np.float32]]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names by index."""
        return tuple(label.name for label in self.labels)

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Class probabilities float32 [K, H, W], computed at the first access."""
        return self.compute_probabilities()

    @property
    def areas(self) -> dict[str, int]:
        """Class name -> number of pixels."""
        counts = np.bincount(self.classes.ravel(), minlength=256)
        return {label.name: int(counts[label.index]) for label in self.labels}

    def overlay(self, opacity: float = 0.5) -> NDArray[np.uint8]:
        """The image tinted in the colours of the classes, uint8 [H, W, 3]; a class named background is not tinted."""
        colours = np.zeros((256, 3), np.float32)
        weights = np.zeros((256, 1), np.float32)
        for label in self.labels:
            colours[label.index] = label.colour
            weights[label.index] = 0.0 if label.name.lower() == "background" else opacity
        weight = weights[self.classes]
        blended = displayed(self.image) * (1 - weight) + colours[self.classes] * weight
        return np.rint(blended).astype(np.uint8)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the mask in the encoding of the training masks; returns the path.

        The format is determined by the suffix; without one, the suffix of the training masks is added.

        Raises:
            ModelError: the file exists and `overwrite` is false, or the format is not lossless.
        """
        target = Path(path) if Path(path).suffix else Path(path).with_suffix(self.encoding.suffix)
        if target.exists() and not overwrite:
            raise ModelError(f"{target}: exists; choose another name, or use overwrite=True")
        write_whole(target, encoded(self.mask, self.encoding, target))
        return target

    def _repr_png_(self) -> bytes:
        picture = Image.fromarray(self.overlay())
        picture.thumbnail((_WIDEST_DISPLAY_PIXELS, _WIDEST_DISPLAY_PIXELS))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()

    def __repr__(self) -> str:
        height, width = self.classes.shape
        total = self.classes.size
        shares = ", ".join(f"{name} {100 * area / total:.1f} %" for name, area in self.areas.items())
        return f"Prediction({width}x{height} pixels: {shares})"


def displayed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [H, W, C] -> uint8 [H, W, 3]: the first channel repeated if C < 3, else the first three channels."""
    if image.shape[2] < 3:
        return np.repeat(image[:, :, :1], 3, axis=2)
    return image[:, :, :3]


def raw_table(labels: Sequence[Label], ignored: Sequence[Any], encoding: Encoding) -> NDArray[Any]:
    """The value in mask files of each class index: uint8 or uint16 [256], or uint8 [256, 3] for colours."""
    wide = (3,) if encoding.kind == "rgb" else ()
    table = np.zeros((256, *wide), np.uint16 if encoding.bits > 8 else np.uint8)
    table[: len(labels)] = [label.raw for label in labels]
    table[IGNORE] = ignored[0] if ignored else labels[0].raw
    return table


def encoded(mask: NDArray[Any], encoding: Encoding, target: Path) -> bytes:
    """Encode a mask in the lossless format of `target`'s suffix.

    Raises:
        ModelError: the format is lossy or unknown.
    """
    formats = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP", ".gif": "GIF"}
    chosen = formats.get(target.suffix.lower())
    if chosen is None:
        raise ModelError(f"{target}: masks can be written as {', '.join(formats)}; other formats change the values")
    one_bit = encoding.bits == 1 and encoding.kind == "gray"
    picture = Image.fromarray(mask.astype(bool) if one_bit else mask)
    if encoding.kind == "palette" and encoding.palette:
        picture.putpalette([value for colour in encoding.palette for value in colour])
    buffer = io.BytesIO()
    picture.save(buffer, chosen)
    return buffer.getvalue()


def write_whole(target: Path, content: bytes) -> None:
    """Write a file atomically.

    Raises:
        ModelError: the folder is not writable.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        raise ModelError(f"{target}: can't be written ({error.strerror})") from error


def labels_of(entries: Sequence[Mapping[str, Any]]) -> tuple[Label, ...]:
    """Labels from their JSON form in run.json and exported files."""
    made = []
    for entry in entries:
        raw = entry["raw"]
        value = (int(raw[0]), int(raw[1]), int(raw[2])) if isinstance(raw, list) else int(raw)
        red, green, blue = (int(part) for part in entry["colour"])
        made.append(Label(int(entry["index"]), str(entry["name"]), value, (red, green, blue)))
    return tuple(made)


def encoding_of(masks: Mapping[str, Any]) -> Encoding:
    """The encoding of masks from its JSON form."""
    palette = tuple((int(r), int(g), int(b)) for r, g, b in masks["palette"]) if masks.get("palette") else None
    return Encoding(str(masks["kind"]), int(masks["bits"]), str(masks.get("suffix") or ".png"), palette)
