"""`segengine compare`: comparison tables of variants, with their confounders."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from segengine.cli.options import json_option
from segengine.cli.output import print_json_text, say, table_width
from segengine.metrics.names import DEFAULT_METRIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segengine.comparison.judge import Judged
    from segengine.comparison.measures import Measure
    from segengine.comparison.statistics.differences import Choices
    from segengine.comparison.summary import Refusal


def _finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value:g} is not a finite number from 0", context, parameter)
    return value


@click.command("compare", short_help="Compare the variants of experiments.")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUNS]...")
@click.option(
    "--runs-dir", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
    help="Folder of runs, used if RUNS is empty.",
)  # fmt: skip
@click.option(
    "--split", type=click.Choice(["test", "validation"]), default=None,
    help="Images to compare on.  [default: test, or validation where there are no test images]",
)  # fmt: skip
@click.option(
    "--metric", default=DEFAULT_METRIC, show_default=True, metavar="METRIC",
    help="Score to compare: dice, iou, or a metric measured on each image such as hd95 (see evaluate --metric).",
)  # fmt: skip
@click.option(
    "--margin", type=click.FloatRange(min=0), default=None, callback=_finite,
    help="Difference within which scores are practically equal: in points (hundredths), for distances in their unit.  "
    "[default: 0.5 points, or the size of a pixel]",
)  # fmt: skip
@click.option(
    "--undefined", type=click.Choice(["left-out", "worst"]), default="left-out", show_default=True,
    help="Images where only truth or prediction contains the class, so that a distance is undefined: left out, or the image's diagonal.",
)  # fmt: skip
@click.option(
    "--resamples", type=click.IntRange(100, 1_000_000), default=2000, show_default=True,
    help="Random exchanges per test (all of them where there are no more), and draws of the ranking.",
)  # fmt: skip
@click.option(
    "--only-vary", "only_vary", multiple=True, metavar="PATH",
    help="Refuse the comparison if any setting outside this path differs, such as model.backbone; may be given several times.",
)  # fmt: skip
@json_option
@click.option(
    "--all", "all_classes", is_flag=True, help="List all classes in the terminal, not only the ten worst and ten best of many."
)  # fmt: skip
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
    help="Number of images with the largest disagreement between variants, predicted again for --html and --out; 0 for none.",
)  # fmt: skip
def command(
    runs: tuple[Path, ...],
    runs_dir: Path,
    split: str | None,
    metric: str,
    margin: float | None,
    undefined: Literal["left-out", "worst"],
    resamples: int,
    only_vary: tuple[str, ...],
    as_json: bool,
    all_classes: bool,
    as_markdown: bool,
    html: Path | None,
    out: Path | None,
    pictures: int,
) -> None:
    """Compare the finished runs of an experiment by variant.

    RUNS are folders of single runs, which form one table, or of experiments, which form one table each; by default, all
    experiments under runs/. Runs with different data, splits, classes or averages are refused; other differences are
    listed, and refused with --only-vary.

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
    from segengine.comparison.image_metrics import measured
    from segengine.comparison.judge import Judged, judge
    from segengine.comparison.measures import METRICS
    from segengine.comparison.sentences import refusals
    from segengine.comparison.summary import Comparison, compare_folders
    from segengine.errors import ComparisonError

    _check(metric, undefined, as_json=as_json, as_markdown=as_markdown)
    targets = Targets(html, out, pictures)
    targets.check()
    results = compare_folders(runs, runs_dir, split, only_vary, metric)
    if metric not in METRICS:
        results, metric = measured(results, metric, undefined)
    judged = [
        judge(each, metric, _choices(each.measure(metric), margin, resamples)) if isinstance(each, Comparison) else each
        for each in results
    ]
    made = [each for each in judged if isinstance(each, Judged)]
    if as_json:
        _print_json(judged, metric)
    else:
        _print(made, as_markdown=as_markdown, all_classes=all_classes)
    if problems := refusals(results):
        raise ComparisonError("\n".join([*problems, *(["nothing was written"] if targets else [])]))
    if targets:
        write_comparisons(targets, made)


def _check(metric: str, undefined: str, *, as_json: bool, as_markdown: bool) -> None:
    """Reject combinations of options that are not allowed."""
    from segengine.comparison.measures import METRICS

    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown are mutually exclusive; use one of them")
    if undefined == "worst" and metric in METRICS:
        raise click.UsageError(
            f"--undefined worst is for distances such as hd95; {metric} has a score wherever there is a class"
        )


def _choices(measure: Measure, margin: float | None, resamples: int) -> Choices:
    """What the options say; the margin is given in the unit of the metric's differences."""
    from segengine.comparison.statistics.differences import Choices

    if margin is not None and measure.is_share and margin > measure.factor:
        raise click.BadParameter(f"{margin:g} points; scores differ by 100 points at most", param_hint="--margin")
    return Choices(measure.margin if margin is None else margin / measure.factor, resamples)


def _print_json(judged: Sequence[Judged | Refusal], metric: str) -> None:
    from segengine.comparison.judge import Judged
    from segengine.comparison.render.json import as_text, document, refused

    documents = [document(each) if isinstance(each, Judged) else refused(each) for each in judged]
    content = {"format": 1, "metric": metric, "comparisons": documents}
    print_json_text(as_text(content, [each for each in judged if isinstance(each, Judged)]))


def _print(made: Sequence[Judged], *, as_markdown: bool, all_classes: bool = False) -> None:
    from rich.console import Console

    from segengine.comparison.render.markdown import markdown
    from segengine.comparison.render.terminal import terminal

    console = Console(highlight=False, width=table_width())
    for place, judged in enumerate(made):
        if place:
            click.echo()
        if as_markdown:
            click.echo(markdown(judged), nl=False)
        else:
            terminal(judged, console, all_classes=all_classes)


def print_comparison(folder: Path) -> list[Judged]:
    """Print the comparison of one experiment, and return it; reasons for a refusal go to standard error."""
    from segengine.comparison.judge import judge
    from segengine.comparison.sentences import refusals
    from segengine.comparison.summary import Comparison, compare_folders

    results = compare_folders([folder], folder)
    judged = [judge(result, DEFAULT_METRIC) for result in results if isinstance(result, Comparison)]
    _print(judged, as_markdown=False)
    for line in refusals(results):
        say(f"no comparison: {line}", err=True)
    return judged
