"""One JSON Schema of the experiment file, with every installed component's parameters."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from segengine.components.base import KINDS
from segengine.components.lookup import SCHEMA_MARK, checked_class, registry
from segengine.errors import RegistryError
from segengine.registry import Provider, singular
from segengine.specs.experiment import OF_THE_FILE, Experiment

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> tuple[dict[str, Any], list[str]]:
    """The schema, and a line for each installed component that is missing from it because its plugin is broken."""
    definitions: dict[str, Any] = {}
    broken: list[str] = []
    root = _adopt(Experiment, definitions)
    for kind in KINDS:
        definitions[kind] = _kind_schema(kind, definitions, broken)
    change = {key: value for key, value in root["properties"].items() if key not in OF_THE_FILE}
    partial = {key: _without_required(value, definitions) for key, value in change.items()}
    root["properties"]["variants"]["additionalProperties"] = {
        "type": ["object", "null"], "properties": partial, "additionalProperties": False,
    }  # fmt: skip
    root.pop("required", None)  # a file may leave to its variants what it doesn't say itself
    schema = {"$schema": DIALECT, "title": "segengine experiment", **root, "$defs": dict(sorted(definitions.items()))}
    return schema, broken


def _kind_schema(kind: str, definitions: dict[str, Any], broken: list[str]) -> dict[str, Any]:
    names, blocks = [], []
    for provider in registry(kind).providers:
        name = registry(kind).spoken_name(provider)
        try:
            definitions[f"{kind}.{name}"] = _component_schema(provider, name, definitions)
        except RegistryError as error:
            broken.append(str(error))
            continue
        names.append(name)
        blocks.append({"$ref": f"#/$defs/{_pointer(f'{kind}.{name}')}"})
    return {"title": singular(kind), "anyOf": [{"enum": names}, *blocks]}


def _component_schema(provider: Provider, name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    cls = checked_class(provider)
    schema = _adopt(cls, definitions)
    schema["properties"]["name"] = {"enum": list(dict.fromkeys([name, provider.qualified])), "description": cls.title()}
    schema["required"] = sorted({"name", *schema.get("required", ())})
    return schema


def _adopt(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """The model's schema; its own definitions move to the common ones."""
    schema = model.model_json_schema(mode="validation")
    definitions.update(_linked(schema.pop("$defs", {})))
    result: dict[str, Any] = _linked(schema)
    return result


def _linked(node: Any) -> Any:
    """`node` with every marked component field turned into a reference to its kind."""
    if isinstance(node, dict):
        if SCHEMA_MARK in node:
            rest = {k: v for k, v in node.items() if k != SCHEMA_MARK}
            return {**rest, "$ref": f"#/$defs/{node[SCHEMA_MARK]}"}
        return {key: _linked(value) for key, value in node.items()}
    return [_linked(item) for item in node] if isinstance(node, list) else node


def _without_required(node: Any, definitions: dict[str, Any]) -> Any:
    """A section in which everything may be left out, for variants; components stay whole."""
    if not isinstance(node, dict):
        return node
    target = node.get("$ref", "").rpartition("/")[2]
    if target in definitions and target not in KINDS:
        section = {k: v for k, v in definitions[target].items() if k != "required"}
        section["properties"] = {k: _without_required(v, definitions) for k, v in section.get("properties", {}).items()}
        return section
    if target in KINDS:  # parameters alone are merged into the file's own block
        return {"anyOf": [{"$ref": node["$ref"]}, {"type": "object", "not": {"required": ["name"]}}]}
    return node


def _pointer(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
