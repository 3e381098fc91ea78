"""pydantic's errors as lines that a person can act on: `file:line:column: path: what is wrong; what to do`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from segengine.components.lookup import Choice, component_class
from segengine.errors import RegistryError
from segengine.registry import suggest
from segengine.specs.trees import Tree
from segengine.yaml_source import Path

_MISSING = "is missing; add it"
_WORDS = {"Input should be ": "must be ", "valid string": "text", "valid integer": "whole number", "valid number": "number",
          "valid boolean": "true or false", "valid list": "list", "valid dictionary": "mapping", "Value error, ": "",
          "List should have": "needs", "String should match pattern": "must match",
          ", got a number with a fractional part": "", ", unable to parse string as a number": "",
          ", unable to parse string as an integer": ""}  # fmt: skip


def problems(error: ValidationError, tree: Tree, model: type[BaseModel]) -> list[str]:
    """One line for each thing that is wrong, in the order of the file."""
    grouped: dict[tuple[Path, bool], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        path = _written_path(detail, tree.data)
        grouped.setdefault((path, detail["type"] in ("extra_forbidden", "missing")), []).append(detail)
    lines = {place: _line(place[0], details, tree, model) for place, details in grouped.items()}
    typos = [(place[0][:-1], line) for place, line in lines.items() if grouped[place][0]["type"] == "extra_forbidden"]
    return [
        line
        for (path, _), line in lines.items()
        if not (
            line.endswith(_MISSING) and any(path[:-1] == block and f"'{path[-1]}'" in typo for block, typo in typos)
        )
    ]


def _line(path: Path, details: list[ErrorDetails], tree: Tree, model: type[BaseModel]) -> str:
    first = details[0]
    unknown = first["type"] == "extra_forbidden"
    place = tree.where(path[:-1] if first["type"] == "missing" else path, key=unknown)
    texts = [_text(detail, path, tree, model) for detail in details]
    said = list(dict.fromkeys(texts))
    name = ".".join(map(str, path)) or "the experiment"
    given = (
        ""
        if unknown or first["type"] == "missing" or any("'" in t or "got" in t for t in said)
        else _given(first["input"])
    )
    return f"{place}: {name}: {' or '.join(said)}{given}"


def _text(detail: ErrorDetails, path: Path, tree: Tree, model: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = known_keys(model, path[:-1], tree.data)
        return "unknown setting; " + (
            suggest(str(path[-1]), known) or f"remove it, or use one of: {', '.join(sorted(known))}"
        )
    if kind == "missing":
        return _MISSING
    if kind in ("literal_error", "enum"):
        options = [o.strip().strip("'") for o in str(context["expected"]).replace(" or ", ", ").split(",")]
        hint = suggest(str(detail["input"]), options)
        return f"'{detail['input']}' is not one of {', '.join(options)}" + (f"; {hint}" if hint else "")
    text = detail["msg"]
    for theirs, ours in _WORDS.items():
        text = text.replace(theirs, ours)
    return text[:1].lower() + text[1:]


def _given(value: Any) -> str:
    if isinstance(value, Mapping | list | BaseModel):
        return ""
    return f", not {value!r}" if value is not None else ", but nothing is given"


def _written_path(detail: ErrorDetails, data: Any) -> Path:
    """An error's location as a path of the file: without the branches of unions that pydantic adds."""
    path: list[str | int] = []
    location = list(detail["loc"])
    for i, step in enumerate(location):
        at_hand = range(len(data)) if isinstance(data, list) else data if isinstance(data, Mapping) else ()
        if step in at_hand:
            data = data[step]
        elif not (i == len(location) - 1 and detail["type"] in ("missing", "extra_forbidden")):
            continue
        path.append(step)
    return tuple(path)


def field_at(model: type[BaseModel], path: Path, data: Any) -> FieldInfo | None:
    """The declaration of the setting at `path`, following the components that `data` names."""
    return _walk(model, path, data)[0]


def known_keys(model: type[BaseModel], path: Path, data: Any) -> list[str]:
    """The settings that the block at `path` may have."""
    _, cls = _walk(model, path, data)
    return list(cls.model_fields) if cls else []


def _walk(model: type[BaseModel], path: Path, data: Any) -> tuple[FieldInfo | None, type[BaseModel] | None]:
    """The last declared setting on the way along `path`, and the model of the block that it ends at; None where unknown."""
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
    """The model that a block of `data` is validated by, given a type and its annotations."""
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
