"""The parts of the OpenAPI document that FastAPI can't read from the functions' signatures."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from segengine.inference.serve.answers import GEOJSON, JSON, OUTPUTS, PARTS, PNG
from segengine.inference.serve.uploads import FIELD

_BINARY = {"type": "string", "format": "binary"}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "code", "message"],
            "properties": {
                "status": {"type": "integer"},
                "code": {"type": "string"},
                "message": {"type": "string"},
            },
        }
    },
}
_CLASS = {
    "type": "object",
    "properties": {
        "index": {"type": "integer"},
        "name": {"type": "string"},
        "value": {"description": "value in masks: a gray value, or red, green, blue"},
        "colour": {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3},
    },
}
_AREAS = {
    "type": "object",
    "properties": {
        "width": {"type": "integer"},
        "height": {"type": "integer"},
        "ignored": {"type": "integer", "description": "pixels without measurement"},
        "classes": {
            "type": "array",
            "items": _CLASS
            | {
                "properties": {
                    **_CLASS["properties"],  # type: ignore[dict-item]
                    "pixels": {"type": "integer"},
                    "share": {"type": "number"},
                }
            },
        },
        "mask": {"type": "string", "description": "the mask as PNG, base64"},
        "class_map": {"type": "string", "description": "class indices as gray PNG, base64; 255 is ignored"},
        "image": {"type": "string", "description": "the image as the network sees it, PNG, base64"},
        "probabilities": {
            "description": "uint8 [K, h, w], 255 is 1, base64; null for images that are too large",
            "type": ["object", "null"],
        },
    },
}
_PROBLEMS = {
    401: "no token, or a wrong one",
    406: "Accept allows none of the media types",
    408: "the upload was too slow",
    413: "too many bytes or pixels",
    415: "not an image",
    422: "a damaged image, one that doesn't suit the model, or an invalid parameter",
    429: "too many requests are waiting",
    503: "out of memory, or shutting down",
    504: "no prediction within the time limit",
}


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": _ERROR}}}


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


_FORM = {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY}}
PREDICT: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {
            "description": "mask as PNG, areas as JSON, or outlines as GeoJSON",
            "content": {
                PNG: {"schema": _BINARY},
                JSON: {"schema": _AREAS},
                GEOJSON: {"schema": {"type": "object", "description": "a FeatureCollection in pixel coordinates"}},
            },
        },
        **{status: _error(text) for status, text in _PROBLEMS.items()},
    },
    "openapi_extra": {
        "parameters": [
            _parameter("output", "the answer's form; without it, Accept decides", {"enum": list(OUTPUTS)}),
            _parameter("include", f"added to JSON, separated by commas: {', '.join(PARTS)}", {"type": "string"}),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": _FORM},
                "image/*": {"schema": _BINARY},
                "application/octet-stream": {"schema": _BINARY},
            },
        },
    },
}
CLASSES: dict[str, Any] = {"responses": {401: _error(_PROBLEMS[401])}}
HEALTH: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {"description": "ready", "content": {JSON: {"schema": {"type": "object"}}}},
        503: {"description": "shutting down", "content": {JSON: {"schema": {"type": "object"}}}},
    },
}
METRICS: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: {"description": "metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}},
}
