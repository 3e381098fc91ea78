"""Progress of a study on the terminal: a live table of variants and seeds; plain lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from segengine.cli.console import shown
from segengine.cli.output import escape
from segengine.errors import counted
from segengine.events import Doing, EpochScored, Note, RunStarted
from segengine.metrics.names import DEFAULT_METRIC, LABELS
from segengine.study.board import OVER, Board, Row, duration_text
from segengine.study.plan import Outcome, RunPlan

COLOURS = {"finished": "green", "failed": "red", "interrupted": "yellow", "not started": "yellow"}


class Overview:
    """Prints the runs of a study to standard error; on a terminal as a live table, refreshed without a thread."""

    def __init__(self, plans: Sequence[RunPlan], console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.console.render_str("")  # imports the rest of rich now, not within a signal's handler
        self.board = Board(plans)
        self.drawn = 0.0
        self.live: Live | None = None
        if self.console.is_terminal:
            self.live = Live(self._picture(), console=self.console, auto_refresh=False, transient=True)
            self.live.start()

    def __call__(self, event: Any) -> None:
        """Show an event that belongs to no run."""
        match event:
            case Note():
                self._line(f"[yellow]note[/yellow] {escape(event.text)}")
            case Doing():
                self.tick()

    def run_event(self, plan: RunPlan, event: Any) -> None:
        """Show an event of a run."""
        row = self.board.update(plan, event)
        match event:
            case Note():
                self._line(f"[yellow]note[/yellow] {escape(plan.name)}: {escape(event.text)}")
            case RunStarted():
                again = f", resuming after step {event.resumed_step}" if event.resumed_step else ""
                self._line(f"[bold]{escape(plan.name)}[/bold]: {escape(event.facts.get('model', ''))}{again}")
            case EpochScored() if self.live is None:
                self._line(f"{escape(plan.name)}: {_epoch(row, event)}")
        self.tick()

    def run_ended(self, outcome: Outcome) -> None:
        """Show the outcome of a run."""
        row = self.board.end(outcome)
        if outcome.status == "not started":
            return
        score = f"  {LABELS[DEFAULT_METRIC]} {shown(row.score)}" if outcome.status == "finished" else ""
        text = outcome.message.removeprefix(f"{outcome.plan.folder}: ")  # already at the start of the line
        message = f": {escape(text)}" if text else ""
        colour = COLOURS[outcome.status]
        self._line(f"[{colour}]{outcome.status}[/{colour}] {escape(str(outcome.plan.folder))}{score}{message}")
        if self.live is None and len(self.board.rows) > 1:
            self._line(self._summary())

    def tick(self) -> None:
        """Redraw, at most four times per second."""
        if self.live is not None and time.monotonic() - self.drawn > 0.25:
            self.drawn = time.monotonic()
            self.live.update(self._picture(), refresh=True)

    def say(self, text: str) -> None:
        """Print a line immediately."""
        self._line(escape(text))

    def close(self) -> None:
        """Replace the live table by the final one, with the reasons of runs that aren't finished."""
        if self.live is not None:
            self.live.stop()
            self.live = None
        rows = list(self.board.rows.values())
        if any(row.state in OVER for row in rows):
            self.console.print(grid(rows))
        for row in rows:
            if row.state in OVER and row.state != "finished":
                why = f": {escape(row.message)}" if row.message else ""
                self._line(f"[{COLOURS[row.state]}]{row.state}[/{COLOURS[row.state]}] {escape(row.plan.name)}{why}")

    def _line(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    def _summary(self) -> str:
        rows, left = self.board.rows, self.board.seconds_left()
        counts = [f"{self.board.count('finished')} of {counted(len(rows), 'run')} finished"]
        counts += [f"{n} {state}" for state in OVER[1:] if (n := self.board.count(state))]
        return ", ".join(counts) + (f", {left}" if left and left.seconds else "")

    def _picture(self) -> Group:
        rows = list(self.board.rows.values())
        details = Table(box=None, pad_edge=False, show_header=False)
        for row in rows:
            if row.running:
                details.add_row(*_detail(row, self.board.clock()))
        return Group("", grid(rows), details, self._summary())


def grid(rows: Sequence[Row]) -> Table:
    """One row per variant (and fold), one column per seed; cells show the state and the mean Dice."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    folds = any(row.plan.fold is not None for row in rows)
    seeds = list(dict.fromkeys(row.plan.seed for row in rows))
    for name in ("variant", *(("fold",) if folds else ()), *(f"seed {seed}" for seed in seeds)):
        table.add_column(name, no_wrap=True)
    lines: dict[tuple[str, int | None], dict[int, Row]] = {}
    for row in rows:
        lines.setdefault((row.plan.variant, row.plan.fold), {})[row.plan.seed] = row
    for (variant, fold), by_seed in sorted(lines.items(), key=lambda item: _order(item[0], rows)):
        names = [escape(variant), *(("" if fold is None else str(fold),) if folds else ())]
        table.add_row(*names, *(_cell(by_seed[seed]) if seed in by_seed else "" for seed in seeds))
    return table


def _order(line: tuple[str, int | None], rows: Sequence[Row]) -> tuple[int, int]:
    """Variants as in the file, then folds."""
    return list(dict.fromkeys(row.plan.variant for row in rows)).index(line[0]), line[1] or 0


def _cell(row: Row) -> str:
    if row.state == "finished":
        return f"[green]{shown(row.score)}[/green]"
    if row.state in COLOURS:
        return f"[{COLOURS[row.state]}]{row.state}[/{COLOURS[row.state]}]"
    if row.state == "waiting":
        return "[dim]waiting[/dim]"
    return f"{row.share:.0%}" + (f" {shown(row.score)}" if row.score is not None else "")


def _detail(row: Row, now: float) -> list[str]:
    left = row.seconds_left(now)
    epochs = f"/{row.epochs}" if row.epochs is not None else ""
    return [
        escape(row.plan.name), escape(row.state), f"epoch {row.epoch}{epochs}" if row.epoch else "",
        f"loss {row.loss:.4f}" if row.loss is not None else "",
        f"{LABELS[DEFAULT_METRIC]} {shown(row.score)}" if row.score is not None else "",
        f"{duration_text(left)} left" if left is not None else "",
    ]  # fmt: skip


def _epoch(row: Row, event: EpochScored) -> str:
    found = event.row.get("validation")
    epochs = f"/{row.epochs}" if row.epochs is not None else ""
    score = f"  validation {LABELS[DEFAULT_METRIC]} {shown(found['mean'][DEFAULT_METRIC])}" if found else ""
    best = "  [green]best[/green]" if event.best else ""
    return f"epoch {event.row['epoch']}{epochs}  loss {event.row['train_loss']:.4f}{score}{best}"
