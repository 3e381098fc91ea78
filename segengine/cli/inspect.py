"""`segengine inspect`: report the contents of a folder of images and masks, or of an experiment's data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import json_option, set_option
from segengine.cli.output import print_json
from segengine.errors import counted

if TYPE_CHECKING:
    from segengine.inspection.inspect import Inspection

_MOST_VALUES = 30


@click.command("inspect", short_help="Report the contents of a folder of images and masks.")
@click.argument("place", type=click.Path(path_type=Path), metavar="SPEC|DATA")
@set_option
@click.option("--all", "all_values", is_flag=True, help="List all mask values, not only the 30 most frequent.")
@json_option
def command(place: Path, overrides: tuple[str, ...], all_values: bool, as_json: bool) -> int:
    """Report sizes, channels and mask values of all images and masks of a folder, or of an experiment file's source.

    Reports the kind of masks and the evidence for it. Exit code 1 if the masks can't be used unchanged.

    \b
    Examples:
      segengine inspect data/abdomen
      segengine inspect experiments/abdomen.yaml
    """
    from segengine.cli.console import ConsoleListener
    from segengine.inspection.inspect import inspect_folder, inspect_source

    console = ConsoleListener()
    try:
        if place.suffix in (".yaml", ".yml"):
            from segengine.specs.load import load_experiment

            data = next(iter(load_experiment(place, overrides).variants.values())).data
            found = inspect_source(data.source, place, console)
        else:
            found = inspect_folder(place, console)
    finally:
        console.close()
    if as_json:
        print_json(found.document())
    else:
        _print(found, None if all_values else _MOST_VALUES)
    return int(not found.usable)


def _print(found: Inspection, most: int | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from segengine.cli.output import escape

    document = found.document()
    out = Console(highlight=False)
    out.print(
        f"[bold]{escape(document['folder'])}[/bold]: {counted(document['images'], 'image')} with masks", soft_wrap=True
    )
    for name in ("splits", "sizes", "channels", "bits"):
        out.print(f"  {name}: {escape(_counted(document[name]))}", soft_wrap=True)
    masks = document["masks"]
    out.print(f"  masks: {masks['kind']}, {masks['bits']} bits", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("value", "pixels", "share", "masks"):
        table.add_column(heading, justify="right")
    values = masks["values"]
    shown = values if most is None or len(values) <= most else sorted(values, key=lambda v: -v["pixels"])[:most]
    for value in shown:
        table.add_row(value["value"], f"{value['pixels']:,}", f"{value['share']:.2%}", str(value["masks"]))
    out.print(table)
    if len(shown) < len(values):
        out.print(f"and {len(values) - len(shown)} less frequent values (--all)")
    colour = "green" if masks["usable"] else "red"
    out.print(f"[{colour}]{escape(masks['says'])}[/{colour}]", soft_wrap=True)
    if masks["size_problem"]:
        out.print(f"[red]{escape(masks['size_problem'])}[/red]", soft_wrap=True)
    for note in document["notes"]:
        out.print(f"[yellow]note[/yellow] {escape(note)}", soft_wrap=True)


def _counted(counts: dict[str, Any], most: int = 6) -> str:
    shown = [f"{name} ({count})" for name, count in list(counts.items())[:most]]
    return ", ".join(shown) + (f" and {len(counts) - most} more" if len(counts) > most else "")
