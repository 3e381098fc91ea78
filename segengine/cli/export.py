"""`segengine export`: write a trained run as a single file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segengine.cli.options import json_option, no_postprocess_option, set_option
from segengine.cli.output import print_json, say
from segengine.errors import counted

if TYPE_CHECKING:
    from segengine.inference.export.export import Exported


@click.command("export", short_help="Export a trained run to a single file, such as ONNX.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option("--format", "format_name", default="onnx", metavar="NAME", show_default=True, help="onnx, or a plugin's.")
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="fp32", show_default=True,
    help="Number format inside an ONNX network; int8 is calibrated on training images.",
)  # fmt: skip
@click.option(
    "--images", type=click.IntRange(min=1), default=50, show_default=True, metavar="N",
    help="Maximum number of validation images for the comparison with the trained model.",
)  # fmt: skip
@click.option("--accept-loss", is_flag=True, help="Keep the file even if its parity limits are exceeded.")
@click.option("--licence", default="", metavar="TEXT", help="Licence of the model, for the file's metadata.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@no_postprocess_option
@set_option
@json_option
def command(
    run: Path, out: Path, format_name: str, precision: str, images: int, accept_loss: bool, licence: str, overwrite: bool,
    raw: bool, overrides: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Export a run's best checkpoint to a single file that maps images to masks in the training masks' values.

    The file contains normalisation, padding, the network and the table of mask values, and in its metadata class names,
    colours and provenance. It is compared with the trained model on the run's validation images and at odd sizes, and kept
    only within these limits: fp32 differs in at most 1 of 10,000 pixels, fp16 and int8 by at most 0.5 points of mean Dice.

    \b
    Examples:
      segengine export runs/abdomen/vgg11-seed0 -o vgg11.onnx
      segengine export runs/abdomen/vgg11-seed0 -o vgg11-int8.onnx --precision int8
    """
    from segengine.cli.console import ConsoleListener
    from segengine.components.base import Exporter
    from segengine.components.lookup import component_class
    from segengine.inference.export.export import export_run

    settings = {"precision": precision} if format_name == "onnx" else {}
    exporter = component_class("exporters", format_name).model_validate({"name": format_name, **settings})
    assert isinstance(exporter, Exporter)
    console = ConsoleListener()
    try:
        found = export_run(
            run, out, exporter, console, overrides=overrides, images=images, accept_loss=accept_loss, overwrite=overwrite,
            licence=licence, postprocess=not raw,
        )  # fmt: skip
    finally:
        console.close()
    if as_json:
        parity = found.parity.as_dict() if found.parity else None
        print_json(
            {
                "run": str(run),
                "file": str(found.path),
                "bytes": found.bytes,
                "parity": parity,
                "accepted": found.accepted,
            }
        )
    else:
        _print(found)
    return 0


def _print(found: Exported) -> None:
    say(f"{found.path}: {found.bytes / 2**20:.1f} MiB")
    parity = found.parity
    if parity is None:
        say("  not compared: segengine can't run this format")
        return
    say(
        f"  {counted(parity.images, f'{parity.split} image')}: {parity.differing:.4%} of the pixels differ from the trained model, "
        f"{parity.differing_odd:.4%} in crops of odd sizes; largest difference of a logit {parity.largest_logit:.2g}"
    )
    if parity.mean_trained is not None and parity.mean_exported is not None:
        say(f"  mean Dice: trained {parity.mean_trained:.4f}, exported {parity.mean_exported:.4f}")
    height, width = parity.size
    say(
        f"  one image of {width}x{height} on {parity.threads} thread{'s' * (parity.threads != 1)}: trained "
        f"{parity.milliseconds_trained:.1f} ms, exported {parity.milliseconds_exported:.1f} ms"
    )
    if found.accepted:
        say(f"  accepted although {found.accepted}")
