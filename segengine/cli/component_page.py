"""One component as text: what it does, its parameters, and an example block for experiment files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segengine.registry import Provider

_PLACES: dict[str, tuple[Any, ...]] = {
    "backbones": ("model", "backbone"), "decoders": ("model", "decoder"), "losses": ("loss",), "mask_mappers": ("data", "mask_mapper"),
    "augmentations": ("augmentations", []), "sources": ("data", "source"), "optimizers": ("training", "optimizer"),
    "schedules": ("training", "schedule"), "metrics": ("evaluation", "metrics", []), "trackers": ("trackers", []),
    "executors": ("executor",),
}  # fmt: skip
"""Where an experiment file names a component of each kind; an empty list: as an item of a list."""


def described_component(provider: Provider) -> dict[str, Any]:
    """Kind, package, description, parameters and example of a component, as plain data.

    Raises:
        RegistryError: the plugin can't be imported.
    """
    from pydantic_core import to_jsonable_python

    from segengine.components.lookup import checked_class, described

    cls = checked_class(provider)
    parameters = {}
    for name, field in described(cls).items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        parameters[name] = {
            "required": field.is_required(), "default": to_jsonable_python(default, fallback=str), "about": field.description or "",
        }  # fmt: skip
    return {
        "kind": provider.kind, "name": provider.qualified, "package": provider.package, "version": provider.version,
        "about": cls.title(), "parameters": parameters, "example": _example(provider, parameters),
    }  # fmt: skip


def _example(provider: Provider, parameters: dict[str, dict[str, Any]]) -> str:
    """YAML of an experiment file with the component and its parameters; '' for kinds that files don't name."""
    import yaml

    place = _PLACES.get(provider.kind)
    if place is None:
        return ""
    values = {name: "..." if facts["required"] else facts["default"] for name, facts in parameters.items()}
    block: Any = {"name": provider.qualified, **values}
    for step in reversed(place):
        block = [block] if isinstance(step, list) else {step: block}
    return yaml.safe_dump(block, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100).strip()


def page_lines(document: dict[str, Any]) -> list[str]:
    """The component as lines for the terminal."""
    from segengine.registry import singular

    owner = "built in" if document["package"] == "segengine" else f"{document['package']} {document['version']}"
    lines = [f"{singular(document['kind'])} {document['name']} ({owner})", f"  {document['about']}"]
    if document["parameters"]:
        lines += ["", "parameters"]
        width = max(map(len, document["parameters"]))
        for name, facts in document["parameters"].items():
            default = "required" if facts["required"] else f"default {facts['default']!r}"
            lines.append(f"  {name:<{width}}  {facts['about']} ({default})")
    if document["example"]:
        lines += ["", "in an experiment file", *(f"  {line}" for line in document["example"].splitlines())]
    return lines
