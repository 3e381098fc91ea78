"""Answers to a prediction: the mask as PNG, areas as JSON, outlines as GeoJSON."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.formats import writer_of
from segengine.inference.outlines import outlines
from segengine.inference.serve.batching import Inferred
from segengine.inference.serve.limits import RefusedError
from segengine.inference.serve.service import Picture, Service

PNG, JSON, GEOJSON = "image/png", "application/json", "application/geo+json"
OUTPUTS = {"mask": PNG, "json": JSON, "geojson": GEOJSON}
PARTS = ("mask", "classes", "image", "probabilities")
"""What `include` can add to the JSON answer."""
_SHOWN_SIDE = 1600


def media_type(output: str | None, accept: str) -> str:
    """The media type of the answer: by the parameter `output`, else by the header Accept, else PNG.

    Raises:
        RefusedError: 422 for an unknown `output`, 406 if Accept allows none.
    """
    if output is not None:
        if output not in OUTPUTS:
            raise RefusedError(422, "unknown-output", f"output is one of {', '.join(OUTPUTS)}")
        return OUTPUTS[output]
    best, chosen = 0.0, ""
    for entry in accept.lower().split(",") if accept.strip() else ["*/*"]:
        wanted, *parameters = (part.strip() for part in entry.split(";"))
        quality = _quality(parameters)
        fitting = [kind for kind in (PNG, JSON, GEOJSON) if wanted in (kind, "*/*", kind.split("/")[0] + "/*")]
        if fitting and quality > best:
            best, chosen = quality, fitting[0]
    if not chosen:
        raise RefusedError(406, "not-acceptable", f"Accept allows none of {PNG}, {JSON}, {GEOJSON}")
    return chosen


def _quality(parameters: Collection[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def parts_of(include: str | None) -> frozenset[str]:
    """The parts named in `include`. Raises RefusedError (422) for an unknown one."""
    wanted = {part.strip() for part in (include or "").split(",")} - {""}
    if wanted - set(PARTS):
        raise RefusedError(422, "unknown-part", f"include is a list of {', '.join(PARTS)}, separated by commas")
    return frozenset(wanted)


def answer(service: Service, picture: Picture, inferred: Inferred, kind: str, parts: Collection[str]) -> bytes:
    """The body of an answer of media type `kind`; `parts` are added to JSON."""
    classes = service.finished(inferred, picture)
    if kind == PNG:
        return mask_png(service, classes)
    if kind == GEOJSON:
        return _text({"type": "FeatureCollection", "features": outlines(classes, service.trained.mapping.labels)})
    document = areas(service, classes)
    if "mask" in parts:
        document["mask"] = _base64(mask_png(service, classes))
    if "classes" in parts:
        document["class_map"] = _base64(_png(classes))
    if "image" in parts:
        document["image"] = _base64(_png(_shown(picture.pixels)))
    if "probabilities" in parts:
        found = inferred.probabilities
        document["probabilities"] = (
            None if found is None else {"shape": list(found.shape), "data": _base64(found.tobytes())}
        )
    return _text(document)


def mask_png(service: Service, classes: NDArray[np.uint8]) -> bytes:
    """The mask in the training masks' values, encoded as these are, as PNG."""
    mapping = service.trained.mapping
    where = Path("mask.png")
    return writer_of(where)(mapping.to_raw(classes), mapping.encoding, where)


def areas(service: Service, classes: NDArray[np.uint8]) -> dict[str, Any]:
    """Size of the image; pixels and share of each class; number of ignored pixels."""
    counts = np.bincount(classes.ravel(), minlength=256)
    return {
        "width": classes.shape[1],
        "height": classes.shape[0],
        "classes": [
            entry | {"pixels": int(counts[entry["index"]]), "share": float(counts[entry["index"]] / classes.size)}
            for entry in service.classes
        ],
        "ignored": int(counts[255]),
    }


def _shown(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image as red, green, blue for display, at most 1600 pixels a side."""
    import cv2

    from segengine.figures.panels import to_rgb

    picture = to_rgb(pixels)
    scale = _SHOWN_SIDE / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _text(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
