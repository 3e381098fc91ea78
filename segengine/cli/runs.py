"""`segengine runs`: list and remove runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import json_option
from segengine.cli.output import print_json, say, table_width
from segengine.metrics.names import OVERLAPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segengine.runs.state import RunState


class _ListUnlessNamed(click.Group):
    """Group whose default command is `list`: `segengine runs ROOT` is `segengine runs list ROOT`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group("runs", cls=_ListUnlessNamed, short_help="List runs with state, size and scores; remove runs.")
def command() -> None:
    """List runs with state, size and scores; remove runs. `segengine runs ROOT` is `segengine runs list ROOT`."""


@command.command("list")
@click.argument("root", type=click.Path(path_type=Path), default=Path("runs"), metavar="[ROOT]")
@json_option
def list_(root: Path, as_json: bool) -> None:
    """List the runs at and below ROOT (default: runs/) with state, size and scores.

    The state is `killed` if run.json says running but no process holds the folder's lock. Sizes are file sizes.

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
        raise SpecError(f"{root}: no such folder; train runs with `segengine run SPEC`")
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
        say(
            f"\nset aside by --fresh: {many}, {size_text(aside_bytes)}; delete those of a run with `segengine runs rm --aside RUN`"
        )


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
        total = size_text(sum(state.size for state in mine))
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
    scores = [number(state.scores.get(name)) for name in OVERLAPS]
    when = (state.when or "–")[:16].replace("T", " ")
    return [
        str(state.folder.path),
        state.variant,
        _whole(state.seed),
        *fold,
        state.state,
        size_text(state.size),
        *scores,
        state.split or "–",
        when,
    ]


def _whole(value: int | None) -> str:
    return "–" if value is None else str(value)


def size_text(size: int) -> str:
    """A file size with its unit: `35.2 MB`."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{size} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"


@command.command("rm")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--aside", is_flag=True, help="Also remove earlier versions of these runs set aside by --fresh.")
@click.option("--yes", is_flag=True, help="Remove without confirmation.")
def rm(runs: tuple[Path, ...], aside: bool, yes: bool) -> None:
    """Delete run folders, after listing them and asking for confirmation.

    Only files written by runs are deleted; other files in the folder are kept and listed. Links, folders whose run.json
    isn't that of a run, and runs in progress are refused. Link targets are never deleted.

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
        say(f"{folder.path}: {state_of(folder).state}, {size_text(sizes[folder.path])}")
    for path in earlier:
        say(f"{path}: set aside, {size_text(sizes[path])}")
    total = f"{len(sizes)} folder{'s' * (len(sizes) != 1)}, {size_text(sum(sizes.values()))}"
    if not yes:
        try:
            agreed = click.confirm(f"delete {total}?")
        except click.Abort:
            raise SpecError("nothing was removed: no confirmation was given; --yes removes without one") from None
        if not agreed:
            say("nothing was removed")
            return
    left = [file for path in earlier for file in remove_aside(path)]
    left += [file for folder in folders for file in remove(folder)]
    say(f"removed {total}" + (", except files that no run wrote:" if left else ""))
    for file in left:
        say(f"  {file}")
