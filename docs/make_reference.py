"""Fills the parts of the documentation that come from the program: settings, components, help of commands.

A part stands between `<!-- made: WHAT -->` and `<!-- end -->`, where WHAT is `settings CLASS` (a section of the
experiment file), `components KIND`, `commands` (a table) or `help COMMAND`. Run it after a change of any of these:

    python docs/make_reference.py            # rewrites README.md and docs/*.md where they differ
    python docs/make_reference.py --check    # changes nothing; exit code 1 and a line for each file that differs
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from segengine.cli.main import cli
from segengine.components.lookup import SCHEMA_MARK, checked_class, registry
from segengine.components.losses import Term
from segengine.registry import singular
from segengine.specs import sections
from segengine.specs.experiment import Experiment

ROOT = Path(__file__).parents[1]
PACKAGES = ("segengine", "segengine-resnet")
"""Whose components are listed: those in this repository, whatever else is installed."""
WIDTH = 100
_PART = re.compile(r"(<!-- made: (?P<what>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_MODELS: dict[str, type[BaseModel]] = {
    "Experiment": Experiment,
    "Term": Term,
    **{name: cls for name, cls in vars(sections).items() if isinstance(cls, type) and issubclass(cls, BaseModel)},
}


def pages() -> list[Path]:
    """The files that may hold made parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str) -> str:
    """A page with all its made parts made anew."""
    return _PART.sub(lambda match: f"{match[1]}{made(match['what'])}{match[3]}", text)


def made(what: str) -> str:
    """One part as Markdown, ending with a line break."""
    makers: dict[str, Callable[[str], str]] = {
        "settings": lambda name: table(_MODELS[name]),
        "components": components,
        "commands": lambda _: command_table(),
        "help": help_of,
    }
    kind, _, name = what.partition(" ")
    return makers[kind](name)


def table(model: type[BaseModel], *, without: tuple[str, ...] = ()) -> str:
    """The settings of a section or component: name, values, default, meaning."""
    schema = model.model_json_schema(mode="validation")
    definitions = schema.get("$defs", {})
    rows = ["| setting | values | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        if name in without:
            continue
        values = "; ".join(dict.fromkeys(_values(schema["properties"][name], definitions)))
        rows.append(f"| `{name}` | {_cell(values)} | {_cell(_default(field))} | {_cell(field.description or '')} |")
    return "\n".join(rows) + "\n"


def components(kind: str) -> str:
    """All components of a kind, each with its settings."""
    parts = []
    for provider in registry(kind).providers:
        if provider.package not in PACKAGES:
            continue
        cls = checked_class(provider)
        about = " ".join((cls.__doc__ or "").split())
        owner = "" if provider.built_in else f" (package `{provider.package}`)"
        has_settings = len(cls.model_fields) > 1
        settings = table(cls, without=("name",)) if has_settings else "No settings.\n"
        parts.append(f"### `{provider.name}`{owner}\n\n{about}\n\n{settings}")
    return "\n".join(["", *parts, ""])


def command_table() -> str:
    """Every command with the first sentence of its help."""
    rows = ["| command | what it does |", "| --- | --- |"]
    rows += [f"| `segengine {name}` | {_cell(_first(command))} |" for name, command in commands()]
    return "\n".join(rows) + "\n"


def commands(group: click.Group = cli, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


def help_of(name: str) -> str:
    """What `segengine NAME --help` prints, as a block."""
    command: click.Command = cli
    settings = {**cli.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(cli, info_name="segengine", **settings)
    for word in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None
        command = found
        context = click.Context(command, info_name=word, parent=context, terminal_width=WIDTH)
    return f"```text\n{command.get_help(context)}\n```\n"


def _first(command: click.Command) -> str:
    text = " ".join((command.help or "").replace("\b", "").split())
    return re.split(r"(?<=\.) ", text)[0].split(" Examples:")[0]


def _values(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[str]:
    """Words for what a setting may be, one for each alternative."""
    if SCHEMA_MARK in schema:
        what = singular(schema[SCHEMA_MARK])
        return [f"{'an' if what[0] in 'aeiou' else 'a'} {what}"]
    if "$ref" in schema:
        return _values(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return [words for part in schema[key] for words in _values(part, definitions)]
    options = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if options:
        return [", ".join(f"`{json.dumps(o) if not isinstance(o, str) else o}`" for o in options)]
    return [_of_type(schema, definitions)]


def _of_type(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return f"{len(schema['prefixItems'])} values"
        case "array":
            return "list: " + " or ".join(_values(schema.get("items", {}), definitions)) + ", ..."
        case "object" if schema.get("title") in _MODELS:
            return "mapping, see below"
        case "integer" | "number" as kind:
            return ("whole number" if kind == "integer" else "number") + _bounds(schema)
        case other:
            words = {"string": "text", "boolean": "`true`, `false`", "null": "`null`", "object": "mapping"}
            return words.get(str(other), "any value")


_HARDLY_A_BOUND = 1e9


def _bounds(schema: Mapping[str, Any]) -> str:
    signs = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below",
             "multipleOf": "in steps of"}  # fmt: skip
    told = {key: word for key, word in signs.items() if key in schema and abs(schema[key]) < _HARDLY_A_BOUND}
    return "".join(f" {word} {schema[key]:g}" for key, word in told.items())


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):  # of a section only what differs from its own defaults
        plain = type(value)().model_dump(mode="json")
        value = {k: v for k, v in value.model_dump(mode="json").items() if v != plain[k]}
    return f"`{_flow(to_jsonable_python(value))}`"


def _flow(value: Any) -> str:
    """A value as YAML's flow style has it."""
    if isinstance(value, Mapping):
        if set(value) == {"name"}:
            return str(value["name"])
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return value or '""'
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Rewrite (or with --check only name) the pages that differ from the program."""
    stale = 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (new := filled(text)) != text:
            stale += 1
            sys.stdout.write(f"{page.relative_to(ROOT)}: {'differs' if '--check' in arguments else 'written'}\n")
            if "--check" not in arguments:
                page.write_text(new, encoding="utf-8")
    return int(stale > 0 and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
