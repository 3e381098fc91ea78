"""Arguments and options shared by several commands."""

from __future__ import annotations

from pathlib import Path

import click

spec_argument = click.argument("spec", type=click.Path(path_type=Path), metavar="SPEC")
set_option = click.option(
    "-s", "--set", "overrides", multiple=True, metavar="PATH=VALUE",
    help="Override one setting, for example -s training.epochs=3; may be given several times.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
runs_option = click.option(
    "--out", "-o", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder for runs."
)
no_postprocess_option = click.option(
    "--no-postprocess", "raw", is_flag=True, help="Leave out the post-processing recorded by `postprocess fit`."
)
device_option = click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda, cuda:1, mps."
)
