"""`segengine plugins`: list, check and create components."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import json_option
from segengine.cli.output import print_json, say

if TYPE_CHECKING:
    from segengine.registry import Provider, StrayGroup


@click.group("plugins", short_help="List, check and create components.")
def command() -> None:
    """List, check and create components of experiments: backbones, decoders, losses and so on."""


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
    from segengine.registry import stray_groups, suggest

    if kind is not None and kind not in KINDS:
        raise SpecError(f"--kind {kind}: unknown kind; {suggest(kind, KINDS) or 'kinds: ' + ', '.join(KINDS)}")
    kinds = [kind] if kind else list(KINDS)
    rows = [row for each in kinds for row in _rows(each, parameters)]
    strays = stray_groups(KINDS)
    if as_json:
        print_json(rows + [_stray_row(stray) for stray in strays])
        return
    _print(rows, parameters)
    for stray in strays:
        say(stray.text, err=True)


def _stray_row(stray: StrayGroup) -> dict[str, Any]:
    return {
        "kind": stray.group, "name": ", ".join(stray.names), "package": stray.package,
        "version": stray.owner.rpartition(" ")[2], "broken": stray.text,
    }  # fmt: skip


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
    from rich.table import Table

    from segengine.cli.output import escape

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


@command.command("show")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show the parameters of component NAME (or PACKAGE/NAME) of any kind, and an example block for experiment files.

    \b
    Examples:
      segengine plugins show multi-scale
      segengine plugins show segengine-resnet/resnet --json
    """
    from segengine.cli.component_page import described_component, page_lines
    from segengine.cli.plugin_names import chosen_providers

    documents = [described_component(provider) for provider in chosen_providers((name,), None)]
    if as_json:
        print_json(documents)
        return
    for number, document in enumerate(documents):
        say("\n".join([*([""] if number else []), *page_lines(document)]))


@command.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--package", metavar="PKG", help="All components of one package; `segengine` selects the built-ins.")
@click.option(
    "-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE",
    help="A setting for the check, for example -p model=resnet18; for one NAME only.",
)  # fmt: skip
@click.option(
    "--folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of masks that mask mappers are tried on instead of small samples.",
)  # fmt: skip
@json_option
def check(
    names: tuple[str, ...], package: str | None, parameters: tuple[str, ...], folder: Path | None, as_json: bool
) -> int:
    """Check that components meet the contract of their kind; without NAME, all components of plugins.

    \b
    Exit code 1 if a check fails. Examples:
      segengine plugins check
      segengine plugins check resnet -p depth=18
      segengine plugins check gray-index --folder data/abdomen/train/masks
      segengine plugins check --package segengine-resnet --json
    """
    from segengine.cli.plugin_names import chosen_providers
    from segengine.components.base import KINDS
    from segengine.registry import normalized, stray_groups

    providers = chosen_providers(names, package)
    rows = [_checked(provider, _settings(parameters, len(providers)), folder) for provider in providers]
    if not names:
        strays = [each for each in stray_groups(KINDS) if package is None or each.package == normalized(package)]
        rows += [{**_stray_row(stray), "findings": [stray.text], "skipped": None} for stray in strays]
    if as_json:
        print_json(rows)
    else:
        _print_checked(rows)
    return 1 if any(row["findings"] for row in rows) else 0


def _settings(parameters: tuple[str, ...], chosen: int) -> dict[str, Any]:
    from segengine.errors import SpecError
    from segengine.yaml_source import parse

    if parameters and chosen != 1:
        raise SpecError(f"-p applies to one component, but {chosen} are selected; name one")
    wrong = next((text for text in parameters if "=" not in text), None)
    if wrong is not None:
        raise SpecError(f"-p {wrong}: write NAME=VALUE")
    pairs = (text.partition("=") for text in parameters)
    return {name: parse(value, f"-p {name}").data for name, _, value in pairs}


def _checked(provider: Provider, parameters: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    from segengine.components.lookup import checked_class
    from segengine.errors import RegistryError
    from segengine.registry import import_crash
    from segengine.testing import findings
    from segengine.testing.conformance import missing_parameters

    row: dict[str, Any] = {
        "kind": provider.kind, "name": provider.qualified, "package": provider.package, "version": provider.version,
        "findings": [], "skipped": None,
    }  # fmt: skip
    try:
        if not provider.built_in and (crash := import_crash(provider)):
            raise RegistryError(crash)
        cls = checked_class(provider)
    except RegistryError as error:
        return {**row, "findings": [str(error)]}
    missing = missing_parameters(cls, parameters)
    if missing:
        return {
            **row,
            "skipped": f"requires {', '.join(missing)}; use " + " ".join(f"-p {name}=..." for name in missing),
        }
    return {**row, "findings": findings(cls, parameters, folder=folder)}


def _print_checked(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("no plugin is installed; segengine plugins check --package segengine checks the built-ins")
        return
    kind_width, name_width = (max(len(row[key]) for row in rows) for key in ("kind", "name"))
    for row in rows:
        number = len(row["findings"])
        result = f"{number} finding{'s' * (number != 1)}" if number else row["skipped"] or "ok"
        say(f"{row['kind']:<{kind_width}}  {row['name']:<{name_width}}  {result}")
        for line in row["findings"]:
            say(f"  {line}")


@command.command("new")
@click.argument("name")
@click.option("--kind", required=True, metavar="KIND", help="Kind of component: backbones, losses, augmentations ...")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path(), show_default=True, help="Folder for the package."
)
def new(name: str, kind: str, out: Path) -> None:
    """Create a plugin package with one working component NAME as a starting point.

    \b
    Examples:
      segengine plugins new gamma --kind augmentations
      segengine plugins new tiny-net --kind backbones --out ../plugins
    """
    from segengine.testing.new_plugin import write_plugin

    folder = write_plugin(name, kind, out)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            say(str(path))
    say(f"next: pip install -e {folder}, then segengine plugins check {name}", err=True)
