"""`segengine doctor`: installed versions, devices, plugins, and settings of this machine that slow training."""

from __future__ import annotations

import click

from segengine.cli.options import json_option
from segengine.cli.output import print_json


@click.command("doctor", short_help="Check the installation and the hardware.")
@json_option
def command(as_json: bool) -> int:
    """Report versions, devices and plugins (also broken ones), and what slows training on this machine.

    Exit code 1 if something is broken.
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
