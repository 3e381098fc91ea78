"""What `predict` can write for an image, and the content of each file."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.reading import read_mask
from segengine.data.files.writing import mask_bytes
from segengine.data.masks.mapping import IGNORE, MaskEncoding
from segengine.errors import DataError, SpecError
from segengine.figures.labels import colour_table, is_background
from segengine.files import json_text
from segengine.inference.ensemble import Band, Ensemble, Wanted
from segengine.inference.predict.georeference import Georeference
from segengine.inference.predict.tiff_rows import TiffRows
from segengine.inference.predict.volumes import VolumeSource
from segengine.inference.sources import Source
from segengine.registry import suggest

_WHOLE = 2**40  # no size limit for written pictures
MASKS, OVERLAY, TRIPTYCHS, COCO, CSV = "masks", "overlay", "triptychs", "coco", "csv"
TIFF = ".tif"


@dataclass(frozen=True)
class Kind:
    """One kind of output file: its folder below OUT and its suffix; `None` for the suffix of the training masks.

    `by_rows`: can be written while a large image is read by bands of rows; its suffix is then `.tif`.
    """

    folder: str
    suffix: str | None
    by_rows: bool = False
    wanted: Wanted = field(default_factory=Wanted)


KINDS = {
    MASKS: Kind("", None, by_rows=True),
    "palette": Kind("palette", ".png", by_rows=True),
    "colours": Kind("colours", ".png", by_rows=True),
    OVERLAY: Kind("overlays", ".png"),
    "probabilities": Kind("probabilities", TIFF, by_rows=True, wanted=Wanted(probabilities=True)),
    "npz": Kind("probabilities", ".npz", wanted=Wanted(probabilities=True)),
    "entropy": Kind("entropy", TIFF, by_rows=True, wanted=Wanted(entropy=True)),
    "disagreement": Kind("disagreement", TIFF, by_rows=True, wanted=Wanted(disagreement=True)),
    "geojson": Kind("geojson", ".geojson"),
    TRIPTYCHS: Kind("triptychs", ".png"),
}
"""Outputs with one file per image."""
TABLES = {COCO: "coco.json", CSV: "areas.csv"}
"""Outputs with one file for all images."""
NAMES = tuple(name for name in (*KINDS, *TABLES) if name != TRIPTYCHS)


def parse_outputs(text: str) -> tuple[str, ...]:
    """Read `masks,overlay,csv`.

    Raises:
        SpecError: an unknown output, or none.
    """
    words = list(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    for word in words:
        if word not in NAMES:
            hint = suggest(word, NAMES) or f"outputs: {', '.join(NAMES)}"
            raise SpecError(f"--outputs {text}: '{word}' is unknown; {hint}")
    if not words:
        raise SpecError(f"--outputs is empty; outputs: {', '.join(NAMES)}")
    return tuple(words)


def wanted_of(outputs: Sequence[str]) -> Wanted:
    """What the network must compute for these outputs."""
    kinds = [KINDS[name].wanted for name in outputs if name in KINDS]
    return Wanted(
        any(kind.probabilities for kind in kinds),
        any(kind.entropy for kind in kinds),
        any(kind.disagreement for kind in kinds),
    )


@dataclass(frozen=True)
class Result:
    """The prediction of one image in memory, from which all its files are made."""

    path: Path
    source: Source
    band: Band
    ensemble: Ensemble
    georeference: Georeference | None = None
    truth: Path | None = None


def write_file(kind: str, target: Path, part: Path, result: Result) -> None:
    """Write one output of an image to `part`, in the format of `target`'s suffix."""
    if target.suffix == TIFF and (kind != MASKS or result.georeference is not None):
        rows = rows_writer(kind, part, result.band.classes.shape, result.ensemble, result.georeference)
        rows.put(rows_of(kind, result.band, result.ensemble))
        rows.close()
    else:
        part.write_bytes(_CONTENTS[kind](target, result))


def rows_writer(
    kind: str, part: Path, size: Sequence[int], ensemble: Ensemble, georeference: Georeference | None
) -> TiffRows:
    """The writer of an output by rows."""
    shape: tuple[int, ...] = tuple(size)
    encoding = ensemble.first.mapping.encoding
    colours = None
    dtype: Any = np.uint8
    if kind == MASKS:
        shape = (*shape, 3) if encoding.kind == "rgb" else shape
        dtype = np.uint16 if encoding.bits > 8 else np.uint8
        colours = _colormap(encoding.palette or ()) if encoding.kind == "palette" else None
    elif kind == "palette":
        colours = _colormap(_palette(ensemble).tolist())
    elif kind == "colours":
        shape = (*shape, 3)
    elif kind == "probabilities":
        shape, dtype = (*shape, len(ensemble.first.mapping.labels)), np.float32
    else:
        dtype = np.float32
    return TiffRows(part, shape, dtype, georeference, colours=colours)


def rows_of(kind: str, band: Band, ensemble: Ensemble) -> NDArray[Any]:
    """The rows of an output, as its writer takes them."""
    if kind == MASKS:
        return np.asarray(ensemble.first.mapping.to_raw(band.classes))
    if kind == "palette":
        return band.classes
    if kind == "colours":
        return np.asarray(_palette(ensemble)[band.classes])
    found = {
        "probabilities": band.probabilities, "entropy": band.entropy, "disagreement": band.disagreement,
    }[kind]  # fmt: skip
    assert found is not None, kind
    return np.moveaxis(found, 0, 2) if found.ndim == 3 else found


def _palette(ensemble: Ensemble) -> NDArray[np.uint8]:
    """The classes' colours by index uint8 [256, 3]; ignored pixels are gray."""
    table = colour_table(ensemble.first.mapping.labels)
    table[IGNORE] = (128, 128, 128)
    return table


def _colormap(palette: Sequence[Sequence[int]]) -> NDArray[np.uint16]:
    """A palette as TIFF stores it: uint16 [3, 256], 0..65535."""
    table = np.zeros((256, 3), np.uint16)
    table[: len(palette)] = np.asarray(palette, np.uint16).reshape(-1, 3)
    return np.ascontiguousarray(table.T * 257)


def _mask(target: Path, result: Result) -> bytes:
    mapping = result.ensemble.first.mapping
    if isinstance(result.source, VolumeSource):
        return result.source.content(target, mapping)
    return mask_bytes(target, mapping.to_raw(result.band.classes), mapping.encoding)


def _palette_png(target: Path, result: Result) -> bytes:
    colours = tuple((int(r), int(g), int(b)) for r, g, b in _palette(result.ensemble))
    return mask_bytes(target, result.band.classes, MaskEncoding("palette", 8, colours))


def _colours(target: Path, result: Result) -> bytes:
    return mask_bytes(target, rows_of("colours", result.band, result.ensemble), MaskEncoding("rgb", 8, None, ".png", 3))


def _overlay(target: Path, result: Result) -> bytes:  # noqa: ARG001 (the table's interface)
    from segengine.figures.encoding import png_of
    from segengine.figures.panels import overlay, to_rgb

    picture = overlay(to_rgb(_seen(result)), result.band.classes, result.ensemble.first.mapping.labels)
    return png_of(picture, limit_bytes=_WHOLE)


def _triptych(target: Path, result: Result) -> bytes:  # noqa: ARG001 (the table's interface)
    from segengine.figures.encoding import png_of
    from segengine.figures.panels import triptych

    mapping = result.ensemble.first.mapping
    assert result.truth is not None
    raw, shape = read_mask(result.truth), result.band.classes.shape
    if raw.shape[:2] != shape:
        raise DataError(f"{result.truth}: is {raw.shape[1]}x{raw.shape[0]} and its image {shape[1]}x{shape[0]}")
    truth = mapping.to_classes(raw, where=str(result.truth))
    return png_of(triptych(_seen(result), result.band.classes, truth, mapping.labels), limit_bytes=_WHOLE)


def _seen(result: Result) -> NDArray[np.uint8]:
    picture = result.source.picture
    if picture is None:
        raise DataError(f"{result.path}: is read by bands of rows; overlays are written for smaller images")
    return picture


def _npz(target: Path, result: Result) -> bytes:  # noqa: ARG001 (the table's interface)
    buffer = io.BytesIO()
    names = np.array([label.name for label in result.ensemble.first.mapping.labels])
    assert result.band.probabilities is not None
    np.savez_compressed(buffer, probabilities=result.band.probabilities, classes=names)
    return buffer.getvalue()


def _geojson(target: Path, result: Result) -> bytes:  # noqa: ARG001 (the table's interface)
    from segengine.inference.outlines import outlines

    labels = [label for label in result.ensemble.first.mapping.labels if not is_background(label)]
    document: dict[str, Any] = {"type": "FeatureCollection", "features": outlines(result.band.classes, labels)}
    reference = result.georeference
    if reference is not None and reference.affine is not None:
        for feature in document["features"]:
            geometry = feature["geometry"]
            geometry["coordinates"] = [reference.mapped(ring) for ring in geometry["coordinates"]]
        if reference.epsg is not None:
            name = f"urn:ogc:def:crs:EPSG::{reference.epsg}"
            document["crs"] = {"type": "name", "properties": {"name": name}}
    return json_text(document).encode()


_CONTENTS: dict[str, Callable[[Path, Result], bytes]] = {
    MASKS: _mask, "palette": _palette_png, "colours": _colours, OVERLAY: _overlay, TRIPTYCHS: _triptych, "npz": _npz,
    "geojson": _geojson,
}  # fmt: skip
