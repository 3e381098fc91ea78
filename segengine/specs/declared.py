"""Declarations of settings: the field, the settings of its block, and the meaning of short forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from segengine.components.base import Component
from segengine.components.lookup import Choice, component_class, dump
from segengine.errors import RegistryError
from segengine.specs.sections import ShortFor
from segengine.yaml_source import Path


def field_at(model: type[BaseModel], path: Path, data: Any) -> FieldInfo | None:
    """The field of the setting at `path`; the classes of components are determined by their names in `data`."""
    return _walk(model, path, data)[0]


def block_of(model: type[BaseModel], path: Path, data: Any, value: Any) -> Mapping[str, Any] | None:
    """The block for which `value` of the setting at `path` is a short form: the default component for None, and the block of a
    number for settings with a numeric short form; None for other values.
    """
    field = field_at(model, path, data)
    if field is None:
        return None
    short = next((part for part in field.metadata if isinstance(part, ShortFor)), None)
    if short is not None and value is not None:
        found = short(value)
    elif value is None and any(isinstance(part, Choice) for part in field.metadata):
        default = field.get_default(call_default_factory=False)
        found = dump(default) if isinstance(default, Component) else default
    else:
        return None
    return found if isinstance(found, Mapping) else None


def known_keys(model: type[BaseModel], path: Path, data: Any) -> list[str]:
    """Names of the settings of the block at `path`."""
    _, cls = _walk(model, path, data)
    return list(cls.model_fields) if cls else []


def _walk(model: type[BaseModel], path: Path, data: Any) -> tuple[FieldInfo | None, type[BaseModel] | None]:
    """The field of the last named setting in `path`, and the model of the block at its end; None if unknown."""
    found: FieldInfo | None = None
    current: Any = model
    for step in path:
        if isinstance(step, int):
            current = _items(current)
        else:
            cls = _class(current, data)
            found = cls.model_fields.get(step) if cls else None
            if found is None:
                return None, None
            current = (found.annotation, *found.metadata)
        data = _child(data, step)
    return found, _class(current, data)


def _child(data: Any, step: str | int) -> Any:
    try:
        return data[step]
    except (LookupError, TypeError):
        return None


def _class(current: Any, data: Any) -> type[BaseModel] | None:
    """The model that validates the block `data`, for a type and its annotations."""
    parts = current if isinstance(current, tuple) else (current,)
    for part in parts:
        if isinstance(part, Choice):
            name = data if isinstance(data, str) else data.get("name") if isinstance(data, Mapping) else None
            try:
                return component_class(part.base.kind, str(name))
            except RegistryError:
                return None
        if isinstance(part, type) and issubclass(part, BaseModel) and not any(isinstance(p, Choice) for p in parts):
            return part
        if get_args(part) and (inner := _class(get_args(part), data)):
            return inner
    return None


def _items(current: Any) -> Any:
    parts = current if isinstance(current, tuple) else (current,)
    for part in parts:
        if str(get_origin(part)) in ("<class 'list'>", "<class 'tuple'>"):
            inner = get_args(part)[0]
            return get_args(inner) or inner
        if get_args(part):
            return _items(get_args(part))
    return None
