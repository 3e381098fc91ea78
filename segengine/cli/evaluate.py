"""`segengine evaluate`: evaluate a trained run on its own or on other data."""

from __future__ import annotations

from pathlib import Path

import click

from segengine.cli.options import device_option, json_option, set_option
from segengine.cli.output import print_json, say


@click.command("evaluate", short_help="Evaluate a trained run on a split, or on other data.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--split", type=click.Choice(["train", "validation", "test"]), default=None,
    help="Split to evaluate.  [default: test, or validation where there are no test images]",
)  # fmt: skip
@click.option(
    "--metric", "metrics", multiple=True, metavar="METRIC",
    help="Additional metric: hd95, assd, ece, '{name: nsd, tolerance: 2}' ...; may be given several times.  "
    "[default: evaluation.metrics of the run]",
)  # fmt: skip
@click.option("--save", is_flag=True, help="Save the metrics' per-image values in the run folder, for compare.")
@set_option
@click.option(
    "--counts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the confusion counts of each image (CSV).",
)
@click.option("--all", "all_classes", is_flag=True, help="List all classes instead of the ten worst and ten best.")
@device_option
@json_option
def command(
    run: Path,
    split: str | None,
    metrics: tuple[str, ...],
    save: bool,
    overrides: tuple[str, ...],
    counts: Path | None,
    all_classes: bool,
    device: str,
    as_json: bool,
) -> None:
    """Evaluate a run's best checkpoint; the run folder is changed only with --save.

    \b
    Examples:
      segengine evaluate runs/abdomen/vgg11-seed0
      segengine evaluate runs/abdomen/vgg11-seed0 --split validation
      segengine evaluate runs/abdomen/vgg11-seed0 --metric hd95 --metric "{name: nsd, tolerance: 2}"
      segengine evaluate runs/abdomen/vgg11-seed0 --metric assd -s "evaluation.spacing=[0.8, 0.8]" --save
      segengine evaluate runs/abdomen/vgg11-seed0 -s data.source.root=other/hospital
    """
    from rich.console import Console

    from segengine.cli.console import ConsoleListener, metric_table, score_table
    from segengine.files import write_text
    from segengine.inference.evaluate import evaluate_run, save_metrics
    from segengine.runs.tables import check_counts_target, counts_text

    if counts is not None:
        check_counts_target(counts)
    console = ConsoleListener()
    try:
        found = evaluate_run(run, split, overrides, device, console, metrics=metrics, keep=save)
    finally:
        console.close()
    if save:
        save_metrics(run, found)
    if counts is not None:
        write_text(counts, counts_text(found.counts))
    if as_json:
        document = {"run": str(run), "split": found.split, "same_data": found.same_data, "scores": found.scores}
        print_json(document | {"metrics": found.metrics})
        return
    data = "the run's own data" if found.same_data else "other data than the run's"
    say(f"{run}: {found.split} images of {data}")
    console_out = Console(highlight=False)
    console_out.print(score_table(found.scores, all_classes=all_classes))
    for row in found.metrics.values():
        console_out.print(metric_table(row, all_classes=all_classes))
