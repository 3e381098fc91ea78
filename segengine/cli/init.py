"""`segengine init`: an experiment file for a folder of images and masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.output import print_json, say

if TYPE_CHECKING:
    from segengine.inspection.layouts.question import UndecidedError
    from segengine.inspection.layouts.understand import Answers, Finding


@click.command("init", short_help="Write an experiment file for your data.")
@click.argument("data", type=click.Path(path_type=Path), metavar="DATA")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), metavar="FILE", help="File to write.  [default: DATA's name.yaml]"
)
@click.option("--images", metavar="PATTERN", help="Pattern of the image files below DATA, such as 'images/*.jpg'.")
@click.option("--masks", metavar="PATTERN", help="Pattern of the mask files, such as 'labels/*_mask.png'.")
@click.option(
    "--unpaired", type=click.Choice(["error", "skip"]), help="How to treat images without mask and masks without image."
)
@click.option(
    "--outside", type=click.Choice(["refuse", "allow"]), help="Whether links and patterns may lead out of DATA."
)
@click.option("--interactive", is_flag=True, help="Ask where the files alone are ambiguous.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print what was found, with all hypotheses, scores and evidence; write no file.",
)
def command(data: Path, out: Path | None, interactive: bool, as_json: bool, **given: str | None) -> None:
    """Write an experiment file for a folder of images and masks.

    Images and masks are recognised by their names and contents; the evidence is written into the file. Files in DATA
    are not changed, and an existing file is not overwritten.

    \b
    Examples:
      segengine init data/abdomen -o abdomen.yaml
      segengine init photos --json
    """
    from segengine.cli.console import ConsoleListener
    from segengine.errors import SpecError
    from segengine.files import write_text
    from segengine.inspection.layouts.question import UndecidedError
    from segengine.inspection.layouts.spec import experiment_text
    from segengine.inspection.layouts.understand import Answers, understand

    file = out or Path(f"{data.resolve().name or 'experiment'}.yaml")
    if file.exists() and not as_json:
        raise SpecError(f"{file}: already exists; choose another file with -o")
    answers = Answers(given["images"], given["masks"], given["unpaired"], given["outside"])
    console = ConsoleListener()
    try:
        try:
            found = understand(data, console, answers)
        except UndecidedError as question:
            if as_json:
                _print_question(question)
            if not (interactive and question.choices):
                raise
            console.close()
            found = understand(data, console, _asked(question, answers))
        text = experiment_text(found, file)
    finally:
        console.close()
    if as_json:
        _print_json(found, text)
        return
    write_text(file, text)
    _say(found, file)


def _say(found: Finding, file: Path) -> None:
    say(f"{file}: {found.masks_are}")
    for note in (*found.evidence[:1], *found.meaning.notes, *found.notes):
        say(f"  {note}")
    say(f"next: name the classes in {file}, then segengine run {file}")


def _asked(question: UndecidedError, answers: Answers) -> Answers:
    """The user's choice on an ambiguous layout."""
    from dataclasses import replace

    say(str(question).partition("; which is meant?")[0], err=True)
    for number, choice in enumerate(question.choices, start=1):
        say(f"  {number}: images {choice.images}, masks {choice.masks} ({'; '.join(choice.evidence[:2])})", err=True)
    number = click.prompt("which is meant?", type=click.IntRange(1, len(question.choices)), err=True)
    return replace(answers, images=question.choices[number - 1].images, masks=question.choices[number - 1].masks)


def _print_json(found: Finding, text: str) -> None:
    document: dict[str, Any] = {
        "folder": str(found.root), "source": dict(found.source), "mask_mapper": dict(found.meaning.mapper),
        "classes": list(found.meaning.classes), "split": dict(found.split), "evidence": list(found.evidence),
        "notes": [*found.meaning.notes, *found.notes], "hypotheses": [h.document() for h in found.hypotheses[:20]],
        "images": len(found.inspection.records), "masks": found.inspection.diagnosis.message, "experiment": text,
    }  # fmt: skip
    print_json(document)


def _print_question(question: UndecidedError) -> None:
    document = {"question": str(question), "hypotheses": [choice.document() for choice in question.choices]}
    print_json(document)
