"""`segengine plugins`: what can be chosen in an experiment, and who provides it."""

from __future__ import annotations

from typing import Any

import click

from segengine.cli.options import json_option, print_json


@click.group("plugins")
def command() -> None:
    """List what experiments can choose: backbones, decoders, losses and so on, built in or from plugins."""


@command.command("list")
@click.option("--kind", metavar="KIND", help="Only one kind, for example backbones.")
@click.option("--parameters", is_flag=True, help="Show each component's parameters too (imports every plugin).")
@json_option
def list_(kind: str | None, parameters: bool, as_json: bool) -> None:
    """List all installed components by kind.

    \b
    Examples:
      segengine plugins list
      segengine plugins list --kind losses --parameters
    """
    from segengine.components.base import KINDS
    from segengine.errors import SpecError
    from segengine.registry import suggest

    if kind is not None and kind not in KINDS:
        raise SpecError(f"--kind {kind}: there is no such kind; {suggest(kind, KINDS) or 'kinds: ' + ', '.join(KINDS)}")
    kinds = [kind] if kind else list(KINDS)
    rows = [row for each in kinds for row in _rows(each, parameters)]
    if as_json:
        print_json(rows)
    else:
        _print(rows, parameters)


def _rows(kind: str, parameters: bool) -> list[dict[str, Any]]:
    from segengine.components.lookup import checked_class, described, registry
    from segengine.errors import RegistryError

    known = registry(kind)
    rows: list[dict[str, Any]] = []
    for provider in known.providers:
        row: dict[str, Any] = {
            "kind": kind,
            "name": known.spoken_name(provider),
            "package": provider.package,
            "version": provider.version,
        }
        if parameters:
            try:
                cls = checked_class(provider)
            except RegistryError as error:
                row["broken"] = str(error)
            else:
                row["about"] = cls.title()
                row["parameters"] = {
                    name: {"default": _default(field), "about": field.description or ""}
                    for name, field in described(cls).items()
                }
        rows.append(row)
    foreign = [
        {"kind": kind, "name": provider.qualified, "package": provider.package, "version": provider.version,
         "broken": f"made for plugin API {provider.api}"}
        for provider in known.foreign
    ]  # fmt: skip
    return rows + foreign


def _default(field: Any) -> Any:
    from pydantic_core import to_jsonable_python

    if field.is_required():
        return "(required)"
    return to_jsonable_python(field.get_default(call_default_factory=True), fallback=str)


def _print(rows: list[dict[str, Any]], parameters: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("kind", "name", "from", *(["about"] if parameters else [])):
        table.add_column(heading, no_wrap=heading != "about")
    before = None
    for row in rows:
        owner = "built in" if row["package"] == "segengine" else f"{row['package']} {row['version']}"
        about = row.get("broken") or row.get("about", "")
        cells = [
            row["kind"] if row["kind"] != before else "",
            row["name"],
            owner + (" (unusable)" if "broken" in row else ""),
        ]
        table.add_row(*map(escape, cells), *([escape(about)] if parameters else []))
        before = row["kind"]
        for name, fact in row.get("parameters", {}).items():
            table.add_row("", "", "", escape(f"  {name} = {fact['default']}: {fact['about']}"))
    Console().print(table)
