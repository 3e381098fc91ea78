"""`segengine weights`: the local store of initial weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from segengine.cli.options import json_option
from segengine.cli.output import print_json, say, table_width


@click.group("weights", short_help="Keep initial weights in a local store.")
def command() -> None:
    """Keep files of initial weights in a local store, for machines without a network.

    A spec names an entry as `weights: store:NAME`. The store identifies files by their SHA-256 and verifies them on use;
    its folder is the environment variable SEGENGINE_WEIGHTS, by default segengine/weights in the user's data folder.
    """


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the entries of the store.

    \b
    Examples:
      segengine weights list
      segengine weights list --json
    """
    from segengine.weight_store import PREFIX, entries, store_folder

    found = entries()
    if as_json:
        print_json([asdict(entry) | {"path": str(entry.path)} for entry in found])
        return
    if not found:
        say(f"the store {store_folder()} is empty; add a file: segengine weights add FILE --name NAME")
        return
    from rich.console import Console
    from rich.table import Table

    from segengine.cli.output import escape

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("weights", "MB", "sha256", "licence", "source", "added"):
        table.add_column(
            heading, justify="right" if heading == "MB" else "left", no_wrap=heading in ("weights", "added")
        )
    for entry in found:
        cells = (
            PREFIX + entry.name,
            f"{entry.size / 1e6:.1f}",
            entry.sha256[:12],
            entry.licence,
            entry.source,
            entry.added[:10],
        )
        table.add_row(*map(escape, cells))
    Console(width=table_width()).print(table)


@command.command("add")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--name", help="Name in specs, as store:NAME.  [default: the file's name without suffix]")
@click.option("--licence", default="", metavar="TEXT", help="Licence of the weights, recorded in runs: Apache-2.0.")
@click.option("--source", default="", metavar="TEXT", help="Where the file comes from, recorded in runs: a URL.")
@json_option
def add(file: Path, name: str | None, licence: str, source: str, as_json: bool) -> None:
    """Copy a .safetensors or .pth file into the store; it must hold plain tensors only.

    \b
    Examples:
      segengine weights add resnet34.safetensors --licence Apache-2.0
      segengine weights add model.safetensors --name resnet34-a1 --source https://huggingface.co/timm/resnet34.a1_in1k
    """
    from segengine.nn.weights import read_weights
    from segengine.weight_store import PREFIX, add

    tensors = len(read_weights(file))
    entry = add(file, name=name or file.stem, licence=licence, source=source)
    if as_json:
        print_json(asdict(entry) | {"path": str(entry.path), "tensors": tensors})
    else:
        say(f"{PREFIX}{entry.name}: {tensors} tensors, {entry.size / 1e6:.1f} MB, sha256 {entry.sha256[:12]}...")
        say(f"use it in a spec: weights: {PREFIX}{entry.name}", err=True)


@command.command("path")
@click.argument("name", metavar="NAME")
def path(name: str) -> None:
    """Print the path of an entry's file, after verifying its SHA-256.

    \b
    Example:
      segengine weights path resnet34-a1
    """
    from segengine.weight_store import PREFIX, verified

    say(str(verified(name.removeprefix(PREFIX)).path))
