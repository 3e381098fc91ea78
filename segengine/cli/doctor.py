"""`segengine doctor`: what is installed, what works, and what would be slow here."""

from __future__ import annotations

import click

from segengine.cli.options import json_option
from segengine.cli.output import print_json


@click.command("doctor", short_help="What is installed, what would be slow here.")
@json_option
def command(as_json: bool) -> int:
    """Show versions, devices and plugins, broken ones too, and what would be slow on this machine.

    Ends with exit code 1 when something is broken.
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from segengine.cli.output import escape
    from segengine.inspection.doctor import examine

    findings = examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        colours = {"ok": "green", "slow": "yellow", "broken": "red"}
        for finding in findings:
            colour = colours[finding.state]
            table.add_row(f"[{colour}]{finding.state}[/{colour}]", escape(finding.topic), escape(finding.text))
        Console(highlight=False).print(table)
    return int(any(finding.state == "broken" for finding in findings))
