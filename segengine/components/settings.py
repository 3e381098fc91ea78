"""Base class of all validated settings: frozen, no unknown keys, exact types, finite numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, field_validator
from pydantic_core import CoreSchema

_EXACT = ("int", "float", "bool", "str")


def _make_exact(node: Any, model: type[BaseModel]) -> None:
    """Switch pydantic's conversions off in a core schema, in place; nested models do so for themselves."""
    if isinstance(node, list | tuple):
        for item in node:
            _make_exact(item, model)
    elif isinstance(node, dict) and node.get("cls", model) is model:
        if node.get("type") in _EXACT and not node.get("strict"):
            node["strict"] = True
            if node["type"] == "int":
                inner = dict(node)
                node.clear()
                node.update(type="function-before", function={"type": "no-info", "function": _whole}, schema=inner)
            return
        for key, child in node.items():
            if key not in ("default", "metadata", "serialization", "ref"):
                _make_exact(child, model)


def _whole(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() else value


def _leaves(value: Any) -> Iterator[Any]:
    """All values in nested mappings and sequences."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


@dataclass(frozen=True)
class ChangesNoNumber:
    """Marks a field (`Annotated[int, ChangesNoNumber()]`) whose value changes no result of a run.

    A run may be resumed with another value, and comparisons don't report it. `keys`: only these keys of the field's block.
    """

    keys: tuple[str, ...] = ()


def paths_that_change_no_number(model: type[BaseModel], start: tuple[str, ...] = ()) -> frozenset[tuple[str, ...]]:
    """Paths of the fields of a model, and of the models nested in it, that are marked with `ChangesNoNumber`."""
    found: set[tuple[str, ...]] = set()
    for name, field in model.model_fields.items():
        path = (*start, name)
        for mark in (mark for mark in field.metadata if isinstance(mark, ChangesNoNumber)):
            found.update((*path, key) for key in mark.keys) if mark.keys else found.add(path)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= paths_that_change_no_number(field.annotation, path)
    return frozenset(found)


class Settings(BaseModel):
    """A frozen block of settings, as strict as its JSON Schema.

    Unknown keys, NaN and infinity are errors, and no type is converted: text is no number (`epochs: "3"`), `true` is not 1,
    `no` is not `false`. As in JSON Schema an integer is a number too, and 3.0 is an integer; a list serves as a tuple.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        # Before the field's own bounds, so that the message is not about them, and in fields of any type.
        if any(isinstance(leaf, float) and not math.isfinite(leaf) for leaf in _leaves(value)):
            raise ValueError("must be finite")
        return value

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _make_exact(handler.resolve_ref_schema(schema), cls)
        return schema
