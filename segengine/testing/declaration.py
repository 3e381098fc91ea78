"""Checks of the declaration, for all kinds: documentation, name, immutability, JSON Schema, YAML round trip."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import TypeAdapter

from segengine.components.base import KINDS, Component
from segengine.components.lookup import Choice, checked_class, described, dump, registry
from segengine.errors import RegistryError
from segengine.registry import singular
from segengine.testing.subject import Check, Subject
from segengine.yaml_source import parse

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SUFFIXES = re.compile(r"[a-z0-9]+([-.][a-z0-9]+)*")  # a reader's name, such as nii-nii.gz


def is_of_a_kind(cls: object) -> bool:
    """Whether `cls` is a class derived from the base class of a kind."""
    return isinstance(cls, type) and any(issubclass(cls, base) and cls is not base for base in KINDS.values())


def class_findings(cls: type[Component]) -> Iterator[str]:
    """Findings about the class: docstring, name, descriptions of fields, model configuration."""
    if "__doc__" not in vars(cls) or not cls.title():
        yield 'docstring is missing; describe in one sentence what it does: """Blurs the image."""'
    elif not cls.title().endswith("."):
        yield f"docstring's first line {cls.title()!r} does not end with a full stop; write one sentence on one line"
    yield from _name(cls)
    for name, field in described(cls).items():
        if not field.description:
            yield f'field `{name}` has no description; write Field(description="meaning and unit")'
    for setting, wanted in (("frozen", True), ("extra", "forbid")):
        if cls.model_config.get(setting) != wanted:
            yield f"model_config sets {setting}={cls.model_config.get(setting)!r}; keep the default {wanted!r}"


def _name(cls: type[Component]) -> Iterator[str]:
    field = cls.model_fields["name"]
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    example = choices[0] if len(choices) == 1 else field.default if isinstance(field.default, str) else "my-name"
    if len(choices) != 1 or field.default != choices[0]:
        yield f'`name` must be a Literal with its value as default; write name: Literal["{example}"] = "{example}"'
    elif not (_SUFFIXES if cls.kind == "readers" else _NAME).fullmatch(str(choices[0])):
        near = re.sub(r"[^a-z0-9]+", "-", str(choices[0]).lower()).strip("-") or "my-name"
        yield f"name {choices[0]!r} must consist of lower-case letters, digits and single hyphens; write {near!r}"


def keyword_findings(cls: type[Component]) -> Iterator[str]:
    """Findings about the signature of build()."""
    base = KINDS[cls.kind]
    needed = "factor" if base.kind == "schedules" else "build"
    if getattr(cls, needed) is getattr(base, needed):
        yield f"{needed}() is missing; write {_signature(base, needed)}"
        return
    wanted = _parameters(base, "build")
    given = _parameters(cls, "build")
    takes_any = any(p.kind is p.VAR_KEYWORD for p in given.values())
    missing = [name for name in wanted if name not in given and name != "self" and not takes_any]
    extra = [
        n
        for n, p in given.items()
        if n not in wanted and p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    if missing or extra:
        yield f"build() has the wrong parameters; write {_signature(base, 'build')}"


def _parameters(cls: type[Component], method: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(getattr(cls, method)).parameters


def _signature(base: type[Component], method: str) -> str:
    return f"def {method}{inspect.signature(getattr(base, method))}".replace("'", "")


def preflight(subject: Subject) -> Iterator[str]:
    """The preflight check raises no error for these parameters."""
    subject.component.preflight()
    yield from ()


def yaml_round_trip(subject: Subject) -> Iterator[str]:
    """The component is equal after a round trip through YAML."""
    cls, component = subject.cls, subject.component
    data = dump(component) if _installed(cls) else component.model_dump(mode="json")
    text = yaml.safe_dump(data, sort_keys=False)
    again = parse(text, "component.yaml").data
    read = _chosen(cls.kind, again) if _installed(cls) else cls.model_validate(again)
    if read != component:
        differing = [name for name in cls.model_fields if getattr(read, name, None) != getattr(component, name)]
        yield (
            f"fields that change in a round trip through YAML: {', '.join(differing)}; use types that YAML has: numbers, "
            "strings, lists, mappings"
        )


def _chosen(kind: str, block: Any) -> Component:
    """The component of a block in an experiment file, by the lookup that validates these files."""
    base: Any = KINDS[kind]
    chosen: Component = TypeAdapter[Any](Annotated[base, Choice(base)]).validate_python(block)
    return chosen


def _installed(cls: type[Component]) -> bool:
    name = cls.model_fields["name"].default
    for provider in registry(cls.kind).providers:
        if provider.name == name:
            try:
                if checked_class(provider) is cls:
                    return True
            except RegistryError:
                continue
    return False


def json_schema(subject: Subject) -> Iterator[str]:
    """The class has a valid JSON Schema, and the component satisfies it."""
    schema = subject.cls.model_json_schema(mode="validation")
    for name, part in schema.get("$defs", {}).items():
        for field, facts in part.get("properties", {}).items():
            if not facts.get("description"):
                yield f'field `{field}` of {name} has no description; write Field(description="meaning and unit")'
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError, ValidationError
    except ImportError:
        return
    try:
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate(subject.component.model_dump(mode="json"))
    except SchemaError as error:
        yield f"the JSON Schema is invalid: {_line(error.message)}; correct json_schema_extra or the custom type"
    except ValidationError as error:
        what = singular(subject.cls.kind)
        yield f"the {what} does not satisfy its own JSON Schema: {_line(error.message)}; correct the field's type"


def _line(text: str) -> str:
    return " ".join(text.split())


CHECKS: tuple[Check, ...] = (preflight, yaml_round_trip, json_schema)
