"""`segengine runs`: what runs there are, and removing some."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import json_option
from segengine.cli.output import print_json, say, table_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segengine.runs.state import RunState


class _ListUnlessNamed(click.Group):
    """`segengine runs ROOT` lists; the other commands are named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group("runs", cls=_ListUnlessNamed, short_help="List runs with their state, size and scores; remove some.")
def command() -> None:
    """List runs with their state, size and scores; remove some. `segengine runs ROOT` is `segengine runs list ROOT`."""


@command.command("list")
@click.argument("root", type=click.Path(path_type=Path), default=Path("runs"), metavar="[ROOT]")
@json_option
def list_(root: Path, as_json: bool) -> None:
    """List the runs at and below ROOT (runs/ unless given) with their state, size and scores.

    A run is killed where its run.json says running and no process works on it. Sizes are those of the files.

    \b
    Examples:
      segengine runs
      segengine runs runs/abdomen
      segengine runs list --json
    """
    from segengine.errors import SpecError
    from segengine.runs.find import find_runs
    from segengine.runs.state import set_aside_of, size_of, state_of

    if not root.is_dir():
        raise SpecError(f"{root}: there is no such folder; make runs with `segengine run SPEC`")
    states = [state_of(folder) for folder in find_runs(root)]
    aside = [path for state in states for path in set_aside_of(state.folder)]
    aside_bytes = sum(map(size_of, aside))
    if as_json:
        kept = {"runs": len(aside), "bytes": aside_bytes}
        print_json({"format": 1, "root": str(root), "runs": [_document(s) for s in states], "set_aside": kept})
        return
    if not states:
        say(f"no runs in {root}")
        return
    _print(states)
    if aside:
        many = f"{len(aside)} earlier run{'s' * (len(aside) != 1)}"
        say(f"\nset aside by --fresh: {many}, {in_words(aside_bytes)}; `segengine runs rm --aside RUN` removes a run's")


def _document(state: RunState) -> dict[str, Any]:
    return {
        "folder": str(state.folder.path), "experiment": state.experiment, "variant": state.variant, "seed": state.seed,
        "fold": state.fold, "state": state.state, "message": state.message, "bytes": state.size, "split": state.split or None,
        "scores": dict(state.scores), "when": state.when,
    }  # fmt: skip


def _print(states: Sequence[RunState]) -> None:

    from rich.console import Console
    from rich.table import Table

    from segengine.cli.output import escape

    console = Console(highlight=False, width=table_width())
    folds = any(state.fold is not None for state in states)
    for place, experiment in enumerate(dict.fromkeys(state.experiment for state in states)):
        mine = [state for state in states if state.experiment == experiment]
        total = in_words(sum(state.size for state in mine))
        console.print(
            f"{chr(10) * (place > 0)}[bold]{escape(experiment)}[/bold]: {len(mine)} run{'s' * (len(mine) != 1)}, {total}"
        )
        table = Table(box=None, pad_edge=False, header_style="bold")
        left = ("folder", "variant", "state", "when (UTC)", "scores of")
        for name in (
            "folder",
            "variant",
            "seed",
            *(["fold"] if folds else []),
            "state",
            "size",
            "Dice",
            "IoU",
            "scores of",
            "when (UTC)",
        ):
            table.add_column(name, justify="left" if name in left else "right", no_wrap=name == "folder")
        for state in mine:
            table.add_row(*map(escape, _cells(state, folds=folds)))
        console.print(table)
        for state in mine:
            if state.message:
                console.print(escape(f"{state.folder.path}: {state.message}"), soft_wrap=True)


def _cells(state: RunState, *, folds: bool) -> list[str]:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    fold = [_whole(state.fold)] if folds else []
    scores = [number(state.scores.get(name)) for name in ("dice", "iou")]
    when = (state.when or "–")[:16].replace("T", " ")
    return [
        str(state.folder.path),
        state.variant,
        _whole(state.seed),
        *fold,
        state.state,
        in_words(state.size),
        *scores,
        state.split or "–",
        when,
    ]


def _whole(value: int | None) -> str:
    return "–" if value is None else str(value)


def in_words(size: int) -> str:
    """Bytes as people say them: `35.2 MB`."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{size} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"


@command.command("rm")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--aside", is_flag=True, help="Also what --fresh set aside of these runs.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def rm(runs: tuple[Path, ...], aside: bool, yes: bool) -> None:
    """Remove run folders for good, after showing what would go and asking.

    Only files that runs write are removed; what else is in a run's folder stays and is named. Refuses folders that are not
    runs by their run.json, links, and runs that a process is working on. What links point to stays.

    \b
    Examples:
      segengine runs rm runs/abdomen/vgg11-seed0
      segengine runs rm runs/abdomen/*-seed1 --aside --yes
    """
    from segengine.errors import SpecError
    from segengine.runs.folder import RunFolder
    from segengine.runs.removal import removable, remove, remove_aside
    from segengine.runs.state import set_aside_of, size_of, state_of

    folders = removable(runs)
    earlier = [path for folder in folders for path in (set_aside_of(folder) if aside else ()) if RunFolder(path).is_run]
    sizes = {folder.path: size_of(folder.path) for folder in folders} | {path: size_of(path) for path in earlier}
    for folder in folders:
        say(f"{folder.path}: {state_of(folder).state}, {in_words(sizes[folder.path])}")
    for path in earlier:
        say(f"{path}: set aside, {in_words(sizes[path])}")
    total = f"{len(sizes)} folder{'s' * (len(sizes) != 1)}, {in_words(sum(sizes.values()))}"
    if not yes:
        try:
            agreed = click.confirm(f"remove {total} for good?")
        except click.Abort:
            raise SpecError("nothing was removed: there was no answer; --yes removes without asking") from None
        if not agreed:
            say("nothing was removed")
            return
    left = [file for path in earlier for file in remove_aside(path)]
    left += [file for folder in folders for file in remove(folder)]
    say(f"removed {total}" + (", but for files that no run wrote:" if left else ""))
    for file in left:
        say(f"  {file}")
