"""`segengine schema`: JSON Schema of experiment files for completion and validation in editors."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("schema", short_help="Write a JSON Schema for editors.")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), default=Path(".segengine/schema.json"), show_default=True,
    help="File to write; - prints it.",
)  # fmt: skip
def command(out: Path) -> None:
    """Write a JSON Schema of experiment files with the parameters of every installed component.

    \b
    Editors with a YAML language server use it in files that start with
      # yaml-language-server: $schema=../.segengine/schema.json
    """
    from segengine.cli.output import print_json
    from segengine.files import write_json
    from segengine.specs.schema import experiment_schema

    schema, broken = experiment_schema()
    for line in broken:
        click.echo(f"left out: {line}", err=True)
    if str(out) == "-":
        print_json(schema)
        return
    write_json(out, schema)
    click.echo(f"{out}: {len(schema['$defs'])} definitions; put this line first in an experiment file:", err=True)
    click.echo(f"# yaml-language-server: $schema={out}", err=True)
