"""JSON Schema of experiment files, with the parameters of all installed components."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from segengine.components.base import KINDS
from segengine.components.lookup import SCHEMA_MARK, checked_class, registry
from segengine.errors import RegistryError
from segengine.registry import Provider, singular
from segengine.specs.experiment import FOLDER_NAME, OF_THE_FILE, Experiment

_PARTIAL = "partial."
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> tuple[dict[str, Any], list[str]]:
    """The schema, and one line per installed component that is missing from it because its plugin is broken.

    In a file with variants, sections and components may be incomplete, because variants can complete them; in a variant,
    parameters without `name` change the component of the file. Conditions on several settings (fractions that sum to more than 1,
    duplicate classes) are not part of the schema.
    """
    definitions: dict[str, Any] = {}
    broken: list[str] = []
    root = _adopt(Experiment, definitions)
    for kind in KINDS:
        _add_kind(kind, definitions, broken)
    complete = {key: value for key, value in root["properties"].items() if key != "variants"}
    partial = {key: _relaxed(value, definitions, _maybe_incomplete) for key, value in complete.items()}
    change = {key: _relaxed(value, definitions, _maybe_nameless) for key, value in complete.items()}
    root["properties"] = {**partial, "variants": _variants_schema(root["properties"]["variants"], change)}
    alone = {"properties": complete, "required": root.pop("required")}
    with_variants = {"required": ["variants"], "properties": {"variants": {"type": "object"}}}
    schema = {
        "$schema": DIALECT, **root, "title": "segengine experiment", "if": with_variants, "else": alone,
        "$defs": dict(sorted(definitions.items())),
    }  # fmt: skip
    return schema, broken


def _variants_schema(declared: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    change = {key: value for key, value in change.items() if key not in OF_THE_FILE}
    return {
        "type": ["object", "null"], "minProperties": 1, "propertyNames": {"pattern": FOLDER_NAME.pattern},
        "additionalProperties": {"type": ["object", "null"], "properties": change, "additionalProperties": False},
        "description": declared["description"],
    }  # fmt: skip


def _add_kind(kind: str, definitions: dict[str, Any], broken: list[str]) -> None:
    """Add the definitions of a kind, of its components, and of components without required parameters (`partial.<kind>`)."""
    names, blocks, needy_names, incomplete = [], [], [], []
    for provider in registry(kind).providers:
        name = registry(kind).spoken_name(provider)
        try:
            component = _component_schema(provider, name, definitions)
        except RegistryError as error:
            broken.append(str(error))
            continue
        definitions[f"{kind}.{name}"] = component
        blocks.append({"$ref": f"#/$defs/{_pointer(f'{kind}.{name}')}"})
        if component["required"] == ["name"]:
            names.append(name)
        else:
            needy_names.append(name)
            incomplete.append({**component, "required": ["name"]})
    definitions[kind] = {
        "title": singular(kind),
        "anyOf": [*([{"enum": names}] if names or not blocks else []), *blocks],
    }
    if incomplete:
        definitions[_PARTIAL + kind] = {"anyOf": [{"$ref": f"#/$defs/{kind}"}, {"enum": needy_names}, *incomplete]}


def _component_schema(provider: Provider, name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    cls = checked_class(provider)
    schema = _adopt(cls, definitions)
    schema["properties"]["name"] = {"enum": list(dict.fromkeys([name, provider.qualified])), "description": cls.title()}
    schema["required"] = sorted({"name", *schema.get("required", ())})
    return schema


def _adopt(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a model; its definitions are moved to the common ones."""
    schema = model.model_json_schema(mode="validation")
    definitions.update(_linked(schema.pop("$defs", {})))
    result: dict[str, Any] = _linked(schema)
    return result


def _linked(node: Any) -> Any:
    """`node` with marked component fields replaced by references to their kinds."""
    if isinstance(node, dict):
        if SCHEMA_MARK in node:
            rest = {k: v for k, v in node.items() if k != SCHEMA_MARK}
            return {**rest, "$ref": f"#/$defs/{node[SCHEMA_MARK]}"}
        return {key: _linked(value) for key, value in node.items()}
    return [_linked(item) for item in node] if isinstance(node, list) else node


def _relaxed(node: Any, definitions: dict[str, Any], component: Callable[[str, dict[str, Any]], Any]) -> Any:
    """The schema of a setting in which sections may be incomplete and components are replaced by `component(kind)`.

    Items of lists are unchanged, because variants replace complete lists.
    """
    if not isinstance(node, dict):
        return node
    target = node.get("$ref", "").rpartition("/")[2]
    if target in KINDS:
        described = {key: value for key, value in node.items() if key != "$ref"}
        return {**described, **component(target, definitions)}
    if target in definitions:
        section = {key: value for key, value in definitions[target].items() if key != "required"}
        section["properties"] = {
            key: _relaxed(value, definitions, component) for key, value in section.get("properties", {}).items()
        }
        return section
    if "anyOf" in node:
        return {**node, "anyOf": [_relaxed(option, definitions, component) for option in node["anyOf"]]}
    return node


def _maybe_incomplete(kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{_PARTIAL + kind if _PARTIAL + kind in definitions else kind}"}


def _maybe_nameless(kind: str, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    return {"anyOf": [{"$ref": f"#/$defs/{kind}"}, {"type": "object", "not": {"required": ["name"]}}]}


def _pointer(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
