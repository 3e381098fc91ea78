"""`segengine cost`: measure latency, throughput and memory of trained networks on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import device_option, json_option
from segengine.cli.output import print_json, say
from segengine.errors import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segengine.inference.cost_rounds import Measured


def _size(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", value)
    if found is None:
        raise click.BadParameter(f"'{value}' is not HEIGHTxWIDTH in pixels, such as 256x256", context, parameter)
    return int(found[1]), int(found[2])


@click.command("cost", short_help="Measure latency, throughput and memory of runs.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUNS...")
@click.option(
    "--size", callback=_size, metavar="HxW", help="Height and width of images.  [default: the first test image's]"
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=8, show_default=True,
    help="Images per pass for throughput and memory.",
)  # fmt: skip
@click.option(
    "--repeats", type=click.IntRange(5, 10_000), default=50, show_default=True, help="Passes with one image; a fifth as many with a batch."
)  # fmt: skip
@device_option
@json_option
def command(
    runs: tuple[Path, ...], size: tuple[int, int] | None, batch: int, repeats: int, device: str, as_json: bool
) -> None:
    """Measure latency, throughput and memory of the networks of finished runs, and write them to each run's cost.json.

    RUNS are run folders or folders of them. Each network is loaded in its own process and measured in five alternating
    rounds after a warm-up; close other programs first. `segengine compare` shows the costs beside the scores.

    \b
    Examples:
      segengine cost runs/abdomen
      segengine cost runs/abdomen/vgg11-seed0 --size 64x64 --batch 4 --repeats 20
    """
    from rich.console import Console

    from segengine.cli.console import ConsoleListener
    from segengine.inference.cost_rounds import CostRequest, measure_costs

    console = ConsoleListener()
    try:
        found = measure_costs(runs, CostRequest(device, size, batch, repeats), console)
    finally:
        console.close()
    if as_json:
        print_json({"format": 1, "runs": [_document(measured) for measured in found]})
    else:
        _print(found, Console(highlight=False))


def _document(measured: Measured) -> dict[str, Any]:
    return {"run": str(measured.folder.path), "cost": measured.cost.model_dump(mode="json")}


def _print(found: Sequence[Measured], console: Any) -> None:
    from rich.table import Table

    from segengine.cli.output import escape

    first = found[0].cost
    threads = f", {counted(first.threads, 'thread')}" if first.threads else ""
    batch = first.throughput.batch if first.throughput else 1
    say(f"{first.device}{threads}, {first.precision}, torch {first.torch}; batch size {batch}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run", no_wrap=True)
    for name in ("size", "latency ms", "5-95 %", "images/s", "memory MiB"):
        table.add_column(name, justify="right")
    for measured in found:
        cost, latency = measured.cost, measured.cost.latency
        busy = "*" if cost.rounds and cost.rounds.busy else ""
        table.add_row(
            escape(measured.folder.name) + busy, f"{cost.size[0]}x{cost.size[1]}", f"{latency.median_ms:.1f}",
            f"{latency.low_ms:.1f}-{latency.high_ms:.1f}",
            f"{cost.throughput.images_per_second:.1f}" if cost.throughput else "-",
            f"{cost.memory.peak_bytes / 2**20:.0f}" if cost.memory else "-",
        )  # fmt: skip
    console.print(table)
    if any(measured.cost.rounds and measured.cost.rounds.busy for measured in found):
        say(
            "* measured twice on a busy machine: the rounds differ, or other processes used the CPU cores (`rounds` in "
            "cost.json); close other programs and measure again"
        )
