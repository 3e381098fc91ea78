"""`segengine init`: a first experiment file for a folder of images and masks."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init", short_help="Write a first experiment file for your data.")
@click.argument("data", type=click.Path(path_type=Path), metavar="DATA")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), metavar="FILE", help="File to write.  [default: DATA's name.yaml]"
)
def command(data: Path, out: Path | None) -> None:
    """Look at a folder of images and masks and write an experiment file that trains on it.

    The mask values are found and named class1, class2 ...; put your names there. An existing file is never changed.

    \b
    Examples:
      segengine init data/abdomen -o abdomen.yaml
    """
    from segengine.cli.console import ConsoleListener
    from segengine.errors import SpecError
    from segengine.files import write_text
    from segengine.inspection.init import starter_spec
    from segengine.inspection.inspect import inspect_folder

    file = out or Path(f"{data.resolve().name}.yaml")
    if file.exists():
        raise SpecError(f"{file}: exists already; choose another file with -o")
    console = ConsoleListener()
    try:
        found = inspect_folder(data, console)
    finally:
        console.close()
    write_text(file, starter_spec(found, file))
    click.echo(f"{file}: {found.diagnosis.message}")
    click.echo(f"next: name the classes in {file}, then segengine run {file}")
