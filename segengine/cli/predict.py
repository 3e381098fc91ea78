"""`segengine predict`: predict masks of new images, in the training masks' values."""

from __future__ import annotations

from pathlib import Path

import click

from segengine.cli.options import device_option, json_option
from segengine.cli.output import print_json, say


@click.command("predict", short_help="Predict masks of new images.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN|FILE")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGES...")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder for the predicted masks.")
@click.option("--overlay", is_flag=True, help="Also write coloured overlays to OUT/overlays.")
@click.option(
    "--masks", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of true masks; image | prediction | truth panels are written to OUT/triptychs.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace existing files; images and masks given are never replaced.")
@device_option
@json_option
def command(
    run: Path, images: tuple[Path, ...], out: Path, overlay: bool, masks: Path | None, overwrite: bool, device: str,
    as_json: bool,
) -> int:  # fmt: skip
    """Predict masks of images with a run's best checkpoint, or with an exported .onnx file.

    IMAGES are files or folders. Masks have the images' names and sizes, and the training masks' values (gray, palette
    or colours). Images that can't be read are reported and skipped; the exit code is then 1.

    Nothing is replaced without --overwrite. OUT/predictions.jsonl lists the files written: the same command again
    completes a folder, and files of another model, or of other programs, are named before anything is predicted.

    \b
    Examples:
      segengine predict runs/abdomen/vgg11-seed0 data/abdomen/test/images -o masks
      segengine predict runs/abdomen/vgg11-seed0 a.png b.png -o masks --overlay
      segengine predict vgg11.onnx data/abdomen/test/images -o masks-by-file
      segengine predict runs/abdomen/vgg11-seed0 data/abdomen/test/images -o masks --masks data/abdomen/test/masks
    """
    from segengine.cli.console import ConsoleListener
    from segengine.events import Doing
    from segengine.inference.exported import load_any
    from segengine.inference.load import Trained
    from segengine.inference.predict.files import predict_files
    from segengine.inference.predict.inputs import images_in

    found = images_in(images, out)
    trained = load_any(run, device)
    console = ConsoleListener()
    done = []
    try:
        for note in trained.notes if isinstance(trained, Trained) else ():
            console.say(note)
        for predicted in predict_files(trained, found, out, overlay=overlay, truth=masks, overwrite=overwrite):
            done.append(predicted)
            console(Doing("predicting", len(done), len(found)))
            if predicted.limited:
                console.say(f"prediction ran out of memory and continued with {predicted.limited}")
            if predicted.problem:
                console.say(f"{'incomplete' if predicted.written else 'skipped'}: {predicted.problem}")
    finally:
        console.close()
    bad = [predicted for predicted in done if predicted.problem]
    if as_json:
        print_json(
            {"run": str(run), "out": str(out), "images": [
                {
                    "image": str(p.image), "written": [str(path) for path in p.written],
                    "complete": [str(path) for path in p.complete], "problem": p.problem,
                } for p in done
            ]}
        )  # fmt: skip
    else:
        written = sum(bool(predicted.written) for predicted in done)
        complete = sum(bool(predicted.complete) and not predicted.written for predicted in done)
        was = f"; {complete} {'was' if complete == 1 else 'were'} complete" if complete else ""
        say(f"{written} of {len(done)} masks written to {out}{was}" + (f"; {len(bad)} with a problem" if bad else ""))
    return int(bool(bad))
