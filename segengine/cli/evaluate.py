"""`segengine evaluate`: score a trained run anew, on its own data or on other data."""

from __future__ import annotations

from pathlib import Path

import click

from segengine.cli.options import device_option, json_option, print_json, set_option


@click.command("evaluate", short_help="Score a trained run on a split, or on other data.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--split", type=click.Choice(["train", "validation", "test"]), default=None,
    help="Images to score.  [default: test, or validation where there are no test images]",
)  # fmt: skip
@set_option
@click.option(
    "--counts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the confusion counts of each image (CSV).",
)
@device_option
@json_option
def command(
    run: Path, split: str | None, overrides: tuple[str, ...], counts: Path | None, device: str, as_json: bool
) -> None:
    """Score a run's best checkpoint; nothing in the run folder changes.

    \b
    Examples:
      segengine evaluate runs/abdomen/vgg11-seed0
      segengine evaluate runs/abdomen/vgg11-seed0 --split validation
      segengine evaluate runs/abdomen/vgg11-seed0 -s data.source.root=other/hospital
    """
    from rich.console import Console

    from segengine.cli.console import ConsoleListener, score_table
    from segengine.runs.tables import write_counts
    from segengine.workflow.evaluating import evaluate_run

    console = ConsoleListener()
    try:
        found = evaluate_run(run, split, overrides, device, console)
    finally:
        console.close()
    if counts is not None:
        write_counts(counts, found.counts)
    if as_json:
        print_json({"run": str(run), "split": found.split, "same_data": found.same_data, "scores": found.scores})
        return
    data = "the run's own data" if found.same_data else "other data than the run's"
    click.echo(f"{run}: {found.split} images of {data}")
    Console(highlight=False).print(score_table(found.scores))
