"""`segengine predict`: predict masks of new images, in the training masks' values."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import device_option, json_option, no_postprocess_option
from segengine.cli.output import print_json, say
from segengine.errors import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segengine.inference.ensemble import Ensemble
    from segengine.inference.predict.files import Predicted

STDIN = "-"


@click.command("predict", short_help="Predict masks of new images.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN|FILE")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN|FILE]... IMAGES...")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder for the predicted masks.")
@click.option(
    "--outputs", default="masks", show_default=True, metavar="NAMES",
    help="What to write, separated by commas: masks, palette, colours, overlay, probabilities (TIFF), npz, entropy, disagreement, "
    "geojson, coco, csv.",
)  # fmt: skip
@click.option(
    "--overlay", is_flag=True, help="Also write coloured overlays to OUT/overlays, as --outputs masks,overlay."
)
@click.option(
    "--masks", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of true masks; image | prediction | truth panels are written to OUT/triptychs.",
)  # fmt: skip
@click.option(
    "--tta", default="", metavar="VIEWS",
    help="Test-time augmentation: average over flips, rotations (by 90 degrees) and scales, such as flips,rotations,scale=0.75,1,1.25.",
)  # fmt: skip
@click.option(
    "--tile", type=click.IntRange(min=32), metavar="PIXELS",
    help="Side of tiles; larger images are predicted in tiles.  [default: 1024, above 2048 x 2048 pixels]",
)  # fmt: skip
@click.option(
    "--overlap",
    type=click.FloatRange(0, 0.9),
    default=0.5,
    show_default=True,
    help="Overlap of tiles, as a share of their side.",
)
@click.option(
    "--tile-weights", type=click.Choice(["gaussian", "uniform"]), default="gaussian", show_default=True,
    help="Weights of a tile's pixels in the average.",
)  # fmt: skip
@click.option("--tile-batch", type=click.IntRange(min=1), default=1, show_default=True, help="Tiles per forward pass.")
@click.option(
    "--spacing", metavar="ROW,COLUMN[,SLICE]",
    help="Millimetres between pixels, for mm2 (and ml) in OUT/areas.csv.  [default: that of the file, if it is in millimetres]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace existing files; images and masks given are never replaced.")
@click.option("--watch", is_flag=True, help="Keep predicting images that appear in the folders, until Ctrl-C.")
@no_postprocess_option
@device_option
@json_option
def command(
    run: Path, images: tuple[Path, ...], out: Path, outputs: str, overlay: bool, masks: Path | None, tta: str,
    tile: int | None, overlap: float, tile_weights: str, tile_batch: int, spacing: str | None, overwrite: bool,
    watch: bool, raw: bool, device: str, as_json: bool,
) -> int:  # fmt: skip
    """Predict masks of images with a run's best checkpoint, or with an exported .onnx file.

    IMAGES are files, folders, patterns in quotes, lists of paths (.txt), or - for paths on standard input. Masks have the
    images' names and sizes, and the training masks' values (gray, palette or colours). Images that can't be read are
    reported and skipped; the exit code is then 1. Of several runs or files of the same classes, the probabilities are
    averaged.

    Nothing is replaced without --overwrite. OUT/predictions.jsonl lists the files written: the same command again
    completes a folder, and files of another model, or of other programs, are named before anything is predicted.

    \b
    Examples:
      segengine predict runs/abdomen/vgg11-seed0 data/abdomen/test/images -o masks
      segengine predict runs/abdomen/vgg11-seed0 a.png b.png -o masks --overlay
      segengine predict vgg11.onnx data/abdomen/test/images -o masks-by-file
      segengine predict runs/abdomen/vgg11-seed0 data/abdomen/test/images -o masks --masks data/abdomen/test/masks
      segengine predict runs/abdomen/vgg11-seed0 runs/abdomen/resnet18-seed0 pictures -o both --outputs masks,disagreement
      segengine predict runs/abdomen/vgg11-seed0 pictures -o averaged --tta flips,scale=0.75,1,1.25
      segengine predict runs/abdomen/vgg11-seed0 "pictures/*.png" -o areas --outputs csv,geojson --spacing 0.8,0.8
    """
    from segengine.inference.ensemble import load_ensemble, tiling_of
    from segengine.inference.predict.inputs import images_in
    from segengine.inference.predict.outputs import TABLES, parse_outputs
    from segengine.inference.tta import Views

    kinds = parse_outputs(f"{outputs},overlay" if overlay else outputs)
    views, tiling = Views.parse(tta), tiling_of(tile, overlap, tile_weights, tile_batch)
    writing = {"outputs": kinds, "truth": masks, "spacing": _spacing(spacing), "overwrite": overwrite}
    models, given = _models(run, images)
    if watch and (bad := set(kinds) & set(TABLES)):
        raise click.UsageError(f"--watch writes files per image, and {', '.join(sorted(bad))} describes all images")
    if watch and not all(path.is_dir() for path in given):
        raise click.UsageError("--watch needs folders")
    found = [] if watch else images_in(given, out)
    ensemble = load_ensemble(models, device, views=views, tiling=tiling, postprocess=not raw)
    if watch:
        return _watch(ensemble, given, out, writing)
    done = _predict(ensemble, found, out, writing)
    bad_ones = [predicted for predicted in done if predicted.problem]
    if as_json:
        print_json({"run": str(run), "out": str(out), "images": [_as_json(predicted) for predicted in done]})
    else:
        say(_summary(done, out, kinds))
    return int(bool(bad_ones))


def _models(run: Path, images: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The models, which come first, and the images."""
    from segengine.inference.ensemble import is_model
    from segengine.inference.predict.inputs import paths_in

    models, given = [run], list(images)
    while given and is_model(given[0]):
        models.append(given.pop(0))
    if not given:
        raise click.UsageError("Missing argument 'IMAGES...'.")
    if Path(STDIN) in given:
        place = given.index(Path(STDIN))
        given[place : place + 1] = paths_in(sys.stdin)
        if not given:
            raise click.UsageError("standard input has no path")
    return models, given


def _spacing(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (2, 3) or not all(0 < value < float("inf") for value in values):
        raise click.UsageError(
            f"--spacing {text}: write millimetres as ROW,COLUMN or ROW,COLUMN,SLICE, such as 0.8,0.8"
        )
    return values


def _predict(
    ensemble: Ensemble, found: Sequence[tuple[Path, Path]], out: Path, writing: dict[str, Any]
) -> list[Predicted]:
    """Predict images with progress and remarks on standard error."""
    from segengine.cli.console import ConsoleListener
    from segengine.events import Doing
    from segengine.inference.predict.files import predict_files

    console, done = ConsoleListener(), []
    try:
        for note in ensemble.notes:
            console.say(note)
        for predicted in predict_files(ensemble, found, out, **writing):
            done.append(predicted)
            console(Doing("predicting", len(done), len(found)))
            if predicted.limited:
                console.say(f"prediction ran out of memory and continued with {predicted.limited}")
            if predicted.problem:
                console.say(f"{'incomplete' if predicted.written else 'skipped'}: {predicted.problem}")
    finally:
        console.close()
    return done


def _watch(ensemble: Ensemble, folders: Sequence[Path], out: Path, writing: dict[str, Any]) -> int:
    """Predict images as they appear; Ctrl-C is the usual end."""
    from segengine.inference.predict.watch import new_images

    say(f"watching {', '.join(map(str, folders))}; end with Ctrl-C", err=True)
    problems = 0
    try:
        for found in new_images(folders, out):
            begun = time.monotonic()
            done = _predict(ensemble, found, out, writing)
            problems += sum(bool(predicted.problem) for predicted in done)
            say(f"{_summary(done, out, writing['outputs'])} in {time.monotonic() - begun:.1f} s")
    except KeyboardInterrupt:
        say("ended", err=True)
    return int(problems > 0)


def _summary(done: Sequence[Predicted], out: Path, kinds: Sequence[str]) -> str:
    written = sum(bool(predicted.written) for predicted in done)
    complete = sum(bool(predicted.complete) and not predicted.written for predicted in done)
    bad = sum(bool(predicted.problem) for predicted in done)
    if "masks" in kinds:
        text = f"{written} of {counted(len(done), 'mask')} written to {out}"
    else:
        good = sum(not p.problem for p in done)
        text = f"{good} of {counted(len(done), 'image')} predicted, {', '.join(kinds)} written to {out}"
    was = f"; {complete} {'was' if complete == 1 else 'were'} complete" if complete else ""
    return text + was + (f"; {bad} with a problem" if bad else "")


def _as_json(predicted: Predicted) -> dict[str, Any]:
    return {
        "image": str(predicted.image), "written": [str(path) for path in predicted.written],
        "complete": [str(path) for path in predicted.complete], "problem": predicted.problem,
    }  # fmt: skip
