"""`segengine compare`: the table that sets variants side by side, and what makes it unfair."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segengine.cli.options import json_option, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segengine.comparison.statistics.differences import Choices
    from segengine.comparison.summary import Comparison, Refusal


def _number(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("nan is not a number from 0 to 100", context, parameter)
    return value


@click.command("compare", short_help="Set the variants of experiments side by side.")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUNS]...")
@click.option(
    "--runs-dir", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
    help="Where runs are, if none are named.",
)  # fmt: skip
@click.option(
    "--split", type=click.Choice(["test", "validation"]), default=None,
    help="Images to compare on.  [default: test, or validation where there are no test images]",
)  # fmt: skip
@click.option(
    "--metric", default="dice", show_default=True, metavar="METRIC",
    help="Score to compare: dice, iou, or a metric measured on each image such as hd95 (see evaluate --metric).",
)  # fmt: skip
@click.option(
    "--margin", type=click.FloatRange(0, 100), default=0.5, show_default=True, callback=_number,
    help="Points (hundredths) within which scores are practically equal; for distances, in their unit.",
)  # fmt: skip
@click.option(
    "--resamples", type=click.IntRange(100, 1_000_000), default=2000, show_default=True,
    help="Sign flips of each test, and bootstrap draws of the order.",
)  # fmt: skip
@click.option(
    "--only-vary", "only_vary", multiple=True, metavar="PATH",
    help="Refuse where anything else differs than this setting and those below it, such as model.backbone; may be given several times.",
)  # fmt: skip
@json_option
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown instead.")
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Also write one offline page with figures."
)
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), metavar="DIR",
    help="Also write all tables (CSV, Markdown, LaTeX) and figures (SVG) to this folder.",
)  # fmt: skip
@click.option(
    "--pictures", type=click.IntRange(0, 100), default=6, show_default=True,
    help="Images on which variants disagree most, predicted anew for --html and --out; 0 for none.",
)  # fmt: skip
def command(
    runs: tuple[Path, ...],
    runs_dir: Path,
    split: str | None,
    metric: str,
    margin: float,
    resamples: int,
    only_vary: tuple[str, ...],
    as_json: bool,
    as_markdown: bool,
    html: Path | None,
    out: Path | None,
    pictures: int,
) -> None:
    """Set the finished runs of an experiment side by side, variant by variant.

    RUNS are folders of single runs, which form one table, or of experiments, which form a table each; without any, all
    experiments under runs/. Refuses runs on other data, splits, classes or means, and lists all other differences;
    with --only-vary refuses those too.

    \b
    Examples:
      segengine compare
      segengine compare runs/abdomen --metric iou
      segengine compare runs/abdomen --metric hd95 --margin 1
      segengine compare runs/abdomen/vgg11-seed0 runs/abdomen-long/vgg11-seed0
      segengine compare runs/abdomen --only-vary model.backbone
      segengine compare runs/abdomen --json > comparison.json
      segengine compare runs/abdomen --html comparison.html --out comparison
    """
    from segengine.cli.comparison_files import Targets, write_comparisons
    from segengine.comparison.render import document, refusals
    from segengine.comparison.statistics.differences import Choices
    from segengine.comparison.summary import METRICS, Comparison, compare_folders
    from segengine.comparison.values import margin_factor, measured
    from segengine.errors import ComparisonError

    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other; name one")
    targets = Targets(html, out, pictures)
    targets.check()
    results = compare_folders(runs, runs_dir, split, only_vary)
    if metric not in METRICS:
        results, metric = measured(results, metric)
    choices = Choices(margin=margin / margin_factor(results, metric), resamples=resamples)
    if as_json:
        documents = [document(result, metric, choices) for result in results]
        print_json({"format": 1, "metric": metric, "comparisons": documents})
    else:
        _print(results, metric, choices, as_markdown=as_markdown)
    if refused := refusals(results):
        raise ComparisonError("\n".join([*refused, *(["nothing was written"] if targets else [])]))
    if targets:
        write_comparisons(targets, [each for each in results if isinstance(each, Comparison)], metric, choices)


def _print(results: Sequence[Comparison | Refusal], metric: str, choices: Choices, *, as_markdown: bool) -> None:
    from rich.console import Console

    from segengine.comparison.render import markdown, terminal
    from segengine.comparison.summary import Comparison

    # Where nobody watches, a table is as wide as it needs to be.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    for place, result in enumerate(result for result in results if isinstance(result, Comparison)):
        if place:
            click.echo()
        if as_markdown:
            click.echo(markdown(result, metric, choices), nl=False)
        else:
            terminal(result, metric, console, choices)


def print_comparison(folder: Path) -> None:
    """The table of one experiment's runs on standard output; why there is none on standard error."""
    from segengine.comparison.render import refusals
    from segengine.comparison.statistics.differences import DEFAULTS
    from segengine.comparison.summary import compare_folders

    results = compare_folders([folder], folder)
    _print(results, "dice", DEFAULTS, as_markdown=False)
    for line in refusals(results):
        click.echo(f"no comparison: {line}", err=True)
