"""`segengine evaluate`: evaluate trained runs and exported files on their own or on other data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import device_option, json_option, no_postprocess_option, set_option
from segengine.cli.output import print_json, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segengine.events import Listener
    from segengine.inference.ensemble import Ensemble
    from segengine.inference.evaluate import Evaluated


@click.command("evaluate", short_help="Evaluate a trained run on a split, or on other data.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN|FILE")
@click.argument("more", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN|FILE]... [DATA]")
@click.option(
    "--split", type=click.Choice(["train", "validation", "test"]), default=None,
    help="Split to evaluate.  [default: test, or validation where there are no test images; all images of DATA without splits]",
)  # fmt: skip
@click.option(
    "--metric", "metrics", multiple=True, metavar="METRIC",
    help="Additional metric: hd95, assd, ece, '{name: nsd, tolerance: 2}' ...; may be given several times.  "
    "[default: evaluation.metrics of the run]",
)  # fmt: skip
@click.option(
    "--tta",
    default="",
    metavar="VIEWS",
    help="Test-time augmentation on DATA, as for predict: flips,rotations,scale=1,1.25.",
)
@click.option(
    "--save",
    is_flag=True,
    help="Save the metrics' per-image values in the run folder, for compare; without post-processing.",
)
@set_option
@click.option(
    "--counts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the confusion counts of each image (CSV).",
)
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), metavar="DIR",
    help="Also write scores.json, images.csv, groups.csv and pictures of the worst images to a new folder.",
)  # fmt: skip
@click.option(
    "--worst", type=click.IntRange(0, 100), default=6, show_default=True, help="Number of pictures for --out."
)
@click.option("--all", "all_classes", is_flag=True, help="List all classes instead of the ten worst and ten best.")
@no_postprocess_option
@device_option
@json_option
def command(
    run: Path, more: tuple[Path, ...], split: str | None, metrics: tuple[str, ...], tta: str, save: bool,
    overrides: tuple[str, ...], counts: Path | None, out: Path | None, worst: int, all_classes: bool, raw: bool,
    device: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Evaluate a run's best checkpoint; the run folder is changed only with --save.

    DATA is a folder of labelled images in any layout that `init` understands, or an experiment file; by default, the run's
    own data. Classes are matched by name, else by mask value. Exported .onnx files, and several runs or files as an ensemble,
    need DATA.

    \b
    Examples:
      segengine evaluate runs/abdomen/vgg11-seed0
      segengine evaluate runs/abdomen/vgg11-seed0 --split validation
      segengine evaluate runs/abdomen/vgg11-seed0 --metric hd95 --metric "{name: nsd, tolerance: 2}"
      segengine evaluate runs/abdomen/vgg11-seed0 --metric assd -s "evaluation.spacing=[0.8, 0.8]" --save
      segengine evaluate runs/abdomen/vgg11-seed0 -s data.source.root=other/hospital
      segengine evaluate runs/abdomen/vgg11-seed0 data/abdomen --split test --out evaluation
    """
    from segengine.cli.console import ConsoleListener
    from segengine.files import write_text
    from segengine.inference.evaluate import evaluate_run, save_metrics
    from segengine.inference.evaluation_report import check_folder
    from segengine.runs.tables import check_counts_target, counts_text

    models, data = _models(run, more)
    _check(models, data, save=save, overrides=overrides, tta=tta)
    if counts is not None:
        check_counts_target(counts)
    if out is not None:
        check_folder(out)
    console = ConsoleListener()
    ensemble = None
    try:
        if data is None:
            found = evaluate_run(
                run, split, overrides, device, console, metrics=metrics, keep=save, postprocess=not raw
            )
        else:
            ensemble, found = _on_data(models, data, split, metrics, tta, device, console, postprocess=not raw)
        if out is not None:
            _write(out, found, ensemble, run, device, worst, postprocess=not raw)
    finally:
        console.close()
    if save:
        save_metrics(run, found)
    if counts is not None:
        write_text(counts, counts_text(found.counts))
    _print(run, found, data, as_json=as_json, all_classes=all_classes)


def _models(run: Path, more: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """The models, and the data if it is given."""
    from segengine.inference.ensemble import is_model

    models, rest = [run], list(more)
    while rest and is_model(rest[0]):
        models.append(rest.pop(0))
    if len(rest) > 1:
        raise click.UsageError(f"one folder of labelled images can be given, not {', '.join(map(str, rest))}")
    return models, rest[0] if rest else None


def _check(models: Sequence[Path], data: Path | None, *, save: bool, overrides: Sequence[str], tta: str) -> None:
    from segengine.inference.exported import ONNX_SUFFIX

    if data is None:
        if len(models) > 1 or models[0].suffix == ONNX_SUFFIX:
            raise click.UsageError(
                "an exported file, or several models, have no data of their own; give DATA, a folder of labelled images"
            )
        if tta:
            raise click.UsageError("--tta needs DATA, a folder of labelled images")
    elif save or overrides:
        raise click.UsageError("--save and -s are for the run's own data; omit them, or DATA")


def _on_data(
    models: Sequence[Path],
    data: Path,
    split: str | None,
    metrics: Sequence[str],
    tta: str,
    device: str,
    listener: Listener,
    *,
    postprocess: bool,
) -> tuple[Ensemble, Evaluated]:
    from segengine.inference.ensemble import load_ensemble
    from segengine.inference.evaluate_data import evaluate_images
    from segengine.inference.tta import Views
    from segengine.study.labelled import labelled_images

    ensemble = load_ensemble(models, device, views=Views.parse(tta), tiling=None, postprocess=postprocess)
    images = labelled_images(data, listener)
    return ensemble, evaluate_images(ensemble, images, listener, split=split, metrics=metrics)


def _write(
    out: Path, found: Evaluated, ensemble: Ensemble | None, run: Path, device: str, worst: int, *, postprocess: bool
) -> None:
    from segengine.inference.ensemble import load_ensemble
    from segengine.inference.evaluation_report import write_report
    from segengine.inference.tta import Views

    models = ensemble or load_ensemble([run], device, views=Views(), tiling=None, postprocess=postprocess)
    write_report(out, found, models, worst=worst)
    say(f"wrote {out}", err=True)


def _print(run: Path, found: Evaluated, data: Path | None, *, as_json: bool, all_classes: bool) -> None:
    from rich.console import Console

    from segengine.cli.console import metric_table, score_table

    if as_json:
        document: dict[str, Any] = {
            "run": str(run), "split": found.split, "same_data": found.same_data, "scores": found.scores, "metrics": found.metrics,
            "postprocessed": found.postprocessed,
        }  # fmt: skip
        print_json(document)
        return
    of = str(data) if data is not None else "the run's own data" if found.same_data else "other data than the run's"
    after = ", after post-processing (without: --no-postprocess)" if found.postprocessed else ""
    say(f"{run}: {found.split} images of {of}{after}")
    console = Console(highlight=False)
    console.print(score_table(found.scores, all_classes=all_classes))
    for row in found.metrics.values():
        console.print(metric_table(row, all_classes=all_classes))
