"""Conversion of pydantic's errors to messages for the user: `file:line:column: path: problem; what to do`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from segengine.registry import suggest
from segengine.specs.declared import known_keys
from segengine.specs.trees import Tree
from segengine.yaml_source import Path

_PLAIN = re.compile(r"true|false|[-+]?[0-9.]+([eE][-+]?[0-9]+)?")
"""Text that would be another type without quotes."""
_MISSING = "is missing; add it"
_EXPECTED = {
    "int_type": "a whole number", "float_type": "a number", "string_type": "text", "bool_type": "true or false",
    "list_type": "a list", "tuple_type": "a list", "dict_type": "a mapping", "model_type": "a mapping",
    "model_attributes_type": "a mapping", "path_type": "a path", "finite_number": "a finite number",
    "string_too_short": "text that is not empty",
}  # fmt: skip
"""pydantic's error type -> the expected value, in messages."""
_OPTIONS = ("literal_error", "enum")
_ABSENT = ("extra_forbidden", "missing")


def problems(error: ValidationError, tree: Tree, model: type[BaseModel], but: Collection[str] = ()) -> list[str]:
    """One line per problem, in the order of the file; `but` are pydantic's error types to omit."""
    grouped: dict[tuple[Path, bool], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] not in but:
            path = _written_path(detail, tree.data)
            grouped.setdefault((path, detail["type"] in _ABSENT), []).append(detail)
    grouped = _of_nearest_branches(grouped)
    lines = {place: _line(place[0], details, tree, model) for place, details in grouped.items() if details}
    typos = [(place[0][:-1], line) for place, line in lines.items() if grouped[place][0]["type"] == "extra_forbidden"]
    return [
        line
        for (path, _), line in lines.items()
        if not (
            line.endswith(_MISSING) and any(path[:-1] == block and f"'{path[-1]}'" in typo for block, typo in typos)
        )
    ]


def _of_nearest_branches(
    grouped: dict[tuple[Path, bool], list[ErrorDetails]],
) -> dict[tuple[Path, bool], list[ErrorDetails]]:
    """The errors without type errors of other branches of a union, if one branch has the right type and fails otherwise."""
    wrong_type = (*_OPTIONS, *_EXPECTED)
    rules = {
        path for (path, _), details in grouped.items() if any(d["type"] not in (*wrong_type, *_ABSENT) for d in details)
    }
    paths = [path for path, _ in grouped]
    kept = {}
    for (path, absent), details in grouped.items():
        deeper = any(other[: len(path)] == path and other != path for other in paths)
        broken = any(path[: len(rule)] == rule for rule in rules)
        kept[path, absent] = [d for d in details if absent or not (deeper or broken) or d["type"] not in wrong_type]
    return kept


def _line(path: Path, details: list[ErrorDetails], tree: Tree, model: type[BaseModel]) -> str:
    unknown = details[0]["type"] == "extra_forbidden"
    place = tree.where(path[:-1] if details[0]["type"] == "missing" else path, key=unknown)
    name = ".".join(map(str, path)) or "the experiment"
    return f"{place}: {name}: {_text(details, path, tree, model)}"


def _text(details: list[ErrorDetails], path: Path, tree: Tree, model: type[BaseModel]) -> str:
    first = details[0]
    if first["type"] == "extra_forbidden":
        known = known_keys(model, path[:-1], tree.data)
        return "unknown setting; " + (
            suggest(str(path[-1]), known) or f"remove it, or use one of: {', '.join(sorted(known))}"
        )
    if first["type"] == "missing":
        return _MISSING
    value = first["input"]
    options = [option for detail in details if detail["type"] in _OPTIONS for option in _options(detail)]
    hint = suggest(str(value), options) if isinstance(value, str) else ""
    hint = f"; {hint}" if hint else ""
    if len(details) == 1 and options and isinstance(value, str | int | float):
        return f"'{_short(value, str)}' is not one of {', '.join(options)}{hint}"
    expected = list(dict.fromkeys(_expected(detail) for detail in details))
    wanted = [text.removeprefix("must be ") for text in expected if text.startswith("must be ")]
    if wanted:
        expected = [f"must be {' or '.join(wanted)}", *(text for text in expected if not text.startswith("must be "))]
    text = " or ".join(expected)
    given = "" if "'" in text or "has " in text or first["type"] == "value_error" else _given(value)
    return f"{text}{given}{hint}"


def _options(detail: ErrorDetails) -> list[str]:
    return [option.strip().strip("'") for option in str(detail["ctx"]["expected"]).replace(" or ", ", ").split(",")]


def _expected(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _OPTIONS:
        options = _options(detail)
        return f"must be {'one of ' * (len(options) > 1)}{', '.join(options)}"
    if kind in ("too_long", "too_short"):
        most = kind == "too_long"
        needed = context["max_length" if most else "min_length"]
        has = context["actual_length"]
        return f"has {has} item{'s' * (has != 1)}; at {'most' if most else 'least'} {needed} {'are' if needed != 1 else 'is'} needed"
    if kind == "string_pattern_mismatch":
        return f"must match '{context['pattern']}'"
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}"
    text = detail["msg"].removeprefix("Value error, ").replace("Input should be ", "must be ")
    return text[:1].lower() + text[1:]


def _given(value: Any) -> str:
    if value is None:
        return ", but nothing is given"
    if isinstance(value, Mapping | BaseModel):
        return ", not a mapping"
    if isinstance(value, list | tuple):
        return ", not a list"
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return f", not the text '{value}'; write it without quotes"
    return f", not {str(value).lower() if isinstance(value, bool) else _short(value, repr)}"


def _short(value: Any, shown: Callable[[Any], str]) -> str:
    text = shown(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _written_path(detail: ErrorDetails, data: Any) -> Path:
    """The location of an error as a path in the file, without the branches of unions that pydantic adds."""
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
