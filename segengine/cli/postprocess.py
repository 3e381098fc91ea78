"""`segengine postprocess`: choose post-processing steps for a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import device_option, json_option, set_option
from segengine.cli.output import print_json, say

if TYPE_CHECKING:
    from segengine.inference.postprocess.fit import Fitted, Tried


@click.group("postprocess", short_help="Choose post-processing of a run's predictions.")
def command() -> None:
    """Choose post-processing of a run's predictions on its validation images."""


@command.command("fit", short_help="Choose steps on validation images and record them in the run folder.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--step", "steps", multiple=True, metavar="STEP",
    help="Step to try: a name, or settings such as '{name: remove-small, only: [liver], pixels: 50}'; may be given several "
    "times.  [default: components, sizes, holes and borders]",
)  # fmt: skip
@set_option
@device_option
@json_option
def fit(run: Path, steps: tuple[str, ...], overrides: tuple[str, ...], device: str, as_json: bool) -> None:
    """Try post-processing steps on the run's validation images, and record those that help in postprocess.json.

    A step is kept if the interval of its gain in mean Dice lies above 0, at a level corrected for all tries. predict, evaluate,
    export and serve apply the recorded steps; --no-postprocess leaves them out. The run's own scores don't change.

    \b
    Examples:
      segengine postprocess fit runs/abdomen/vgg11-seed0
      segengine postprocess fit runs/abdomen/vgg11-seed0 --step "{name: class-rule, only: [spleen], where: right}"
    """
    from segengine.cli.console import ConsoleListener
    from segengine.inference.postprocess.fit import fit_postprocessing

    console = ConsoleListener()
    try:
        found = fit_postprocessing(run, [_settings(step) for step in steps], overrides, device, console)
    finally:
        console.close()
    if as_json:
        print_json({"run": str(run), **found.document})
    else:
        _print(run, found)


def _settings(text: str) -> str | dict[str, Any]:
    import yaml

    from segengine.errors import SpecError

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"--step {text}: not valid YAML ({' '.join(str(error).split())[:100]})") from error
    if not isinstance(value, str | dict):
        raise SpecError(f"--step {text}: give a name, or settings such as '{{name: smooth, radius: 2}}'")
    return value


def _print(run: Path, found: Fitted) -> None:
    units = f"{found.units} groups of " if found.units < found.images else ""
    say(
        f"{run}: {len(found.tried)} tries on {units}{found.images} validation images, {100 * (1 - found.level):.4g} % intervals"
    )
    for each in found.tried:
        after = f" after {', '.join(map(_words, each.after))}" if each.after else ""
        helps = ", helps" if each.kept else ""
        say(f"  {_words(each.step)}{after}: {_gain(each)}{helps}")
    if found.steps:
        before, after = (f"{value:.4f}" if value is not None else "undefined" for value in (found.before, found.after))
        say(f"kept: {', '.join(map(_words, found.steps))}; mean Dice {before} without, {after} with")
    else:
        say("no step has a proven gain; nothing is applied")


def _gain(each: Tried) -> str:
    if each.gain is None:
        return "no score"
    if each.low is None or each.high is None:
        return f"{each.gain:+.4f}, not tested ({each.reason or each.verdict})"
    return f"{each.gain:+.4f} [{each.low:+.4f}, {each.high:+.4f}]"


def _words(step: dict[str, Any]) -> str:
    more = ", ".join(
        f"{key}: {'+'.join(value) if isinstance(value, list) else value}"
        for key, value in step.items() if key != "name" and value not in (None, [], ())
    )  # fmt: skip
    return f"{step['name']} ({more})" if more else str(step["name"])
