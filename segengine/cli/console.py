"""Progress of a run on the terminal: a bar with ETA and one table per epoch; plain lines without a terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from segengine.cli.output import escape
from segengine.errors import counted
from segengine.events import Doing, EpochScored, Note, RunEnded, RunStarted, StepDone
from segengine.metrics.extremes import Extremes, extremes
from segengine.metrics.names import DEFAULT_METRIC, SCORES


class ConsoleListener:
    """Prints the events of runs to standard error; standard output is reserved for results."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.console.render_str("")  # imports the rest of rich now, not within a signal's handler
        self.live = self.console.is_terminal
        self.progress: Progress | None = None
        self.tasks: dict[str, TaskID] = {}
        self.printed_at = time.monotonic()
        self.losses: list[float] = []
        self.epochs: int | None = 0
        self.minutes: float | None = None

    def __call__(self, event: Any) -> None:
        match event:
            case Doing():
                self._advance(event.what, event.done, event.total)
            case Note():
                self._line(f"[yellow]note[/yellow] {escape(event.text)}")
            case RunStarted():
                self._started(event)
            case StepDone():
                self._step(event)
            case EpochScored():
                self._epoch(event)
            case RunEnded():
                self._ended(event)

    def say(self, text: str) -> None:
        """Print a line immediately, above the progress bars."""
        self._line(escape(text))

    def close(self) -> None:
        """Stop the live display."""
        if self.progress is not None:
            self.progress.stop()
        self.progress, self.tasks = None, {}

    def _line(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    def _advance(self, what: str, done: int, total: int, extra: str = "") -> None:
        if self.live:
            if self.progress is None:
                self.progress = Progress(
                    TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                    TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn(), TextColumn("{task.fields[extra]}"),
                    console=self.console, transient=True,
                )  # fmt: skip
                self.progress.start()
            if what not in self.tasks:
                self.tasks[what] = self.progress.add_task(what, total=max(total, 1), extra="")
            self.progress.update(self.tasks[what], completed=done, total=max(total, 1), extra=extra)
            if done >= total:
                self.progress.remove_task(self.tasks.pop(what))
        elif total and (done >= total or time.monotonic() - self.printed_at > 20):
            self.printed_at = time.monotonic()
            self._line(f"{escape(what)}: {done}/{total}{'  ' + extra if extra else ''}")

    def _started(self, event: RunStarted) -> None:
        again = f" (resuming after step {event.resumed_step})" if event.resumed_step else ""
        self._line(f"\n[bold]{escape(str(event.folder))}[/bold]{again}")
        for name, value in event.facts.items():
            self._line(f"  {escape(name)}: {escape(value)}")
        self.epochs, self.minutes = event.epochs, event.minutes

    def _step(self, event: StepDone) -> None:
        self.losses = [*self.losses[-49:], event.loss]
        what, done, total = "training", event.step, (self.epochs or 0) * event.steps_per_epoch
        if self.minutes is not None:
            what, total = "training, seconds", max(1, round(60 * self.minutes))
            done = min(total, round(event.share * total))
        text = f"epoch {self._of_epochs(event.epoch)}  loss {sum(self.losses) / len(self.losses):.4f}"
        if self.live:
            self._advance(what, done, total, f"{text}  rate {event.learning_rate:.2e}")
        elif time.monotonic() - self.printed_at > 20:
            self._advance(what, done, total, text)

    def _of_epochs(self, epoch: int) -> str:
        return f"{epoch}/{self.epochs}" if self.epochs is not None else str(epoch)

    def _epoch(self, event: EpochScored) -> None:
        row = event.row
        line = (
            f"epoch {self._of_epochs(row['epoch'])}  loss {row['train_loss']:.4f}  rate {row['learning_rate']:.2e}  "
            f"{row['images_per_second']:.1f} images/s"
        )
        validation = row.get("validation")
        if validation:
            line += f"  validation Dice {shown(validation['mean']['dice'])}" + (
                "  [green]best[/green]" if event.best else ""
            )
        self._line(line)
        if validation:
            self.console.print(score_table(validation))

    def _ended(self, event: RunEnded) -> None:
        self.close()
        colour = {"finished": "green", "failed": "red", "interrupted": "yellow"}[event.status]
        text = event.message.removeprefix(f"{event.folder}: ")  # already at the start of the line
        message = f": {escape(text)}" if text else ""
        self._line(f"[{colour}]{event.status}[/{colour}] {escape(str(event.folder))}{message}")
        if event.row is not None:
            self._line(f"scores of the best checkpoint on the {event.split} images:")
            self.console.print(score_table(event.row))


def score_table(scores: Mapping[str, Any], *, all_classes: bool = False) -> Table:
    """Per-class scores of one evaluation (`validation` of a metrics.jsonl line).

    With many classes, only the ten worst and ten best by Dice, unless `all_classes` is set.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("class", no_wrap=True)
    for name in (*SCORES, f"{DEFAULT_METRIC}/image", "images"):
        table.add_column(name, justify="right")
    rows = [
        (
            escape(name),
            *(shown(values[s]) for s in SCORES),
            shown(values[f"{DEFAULT_METRIC}_per_image"]),
            str(values["images"]),
        )
        for name, values in scores["classes"].items()
    ]
    ranked = [values[DEFAULT_METRIC] for values in scores["classes"].values()]
    _add_rows(table, rows, None if all_classes else extremes(ranked))
    mean = scores["mean"]
    names = mean["over"]
    over = f"mean of {', '.join(names)}" if len(names) <= 3 else f"mean of {len(names)} classes"
    table.add_row(
        f"[bold]{escape(over)}[/bold]",
        *[shown(mean[s]) for s in SCORES],
        shown(mean[f"{DEFAULT_METRIC}_per_image"]),
        str(scores["images"]),
    )
    return table


def _add_rows(table: Table, rows: Sequence[tuple[str, ...]], few: Extremes | None) -> None:
    """Add all rows, or those of the worst and best classes around a line with the number omitted."""
    if few is None:
        for row in rows:
            table.add_row(*row)
        return
    for place in few.worst:
        table.add_row(*rows[place])
    table.add_row(f"[dim]{few.left_out} (evaluate --all)[/dim]")
    for place in few.best:
        table.add_row(*rows[place])


def metric_table(row: Mapping[str, Any], *, all_classes: bool = False) -> Table:
    """One metric of one evaluation (`metrics` of run.json): means and numbers of images.

    With many classes, only the ten worst and ten best, unless `all_classes` is set.
    """
    unit = f", {row['unit']}" if row["unit"] else ""
    title = f"\n{row['words']}{unit}: means over {counted(row['images'], 'image')}, {row['better']} is better"
    table = Table(
        box=None, pad_edge=False, header_style="bold", title=escape(title), title_justify="left", title_style="italic"
    )
    table.add_column("class", no_wrap=True)
    for name in ("mean", "images", "missed", "only predicted", "without it"):
        table.add_column(name, justify="right")
    keys = ("images", "truth_only", "prediction_only", "neither")
    rows = [(escape(name), shown(of["mean"]), *(str(of[key]) for key in keys)) for name, of in row["classes"].items()]
    means = [of["mean"] for of in row["classes"].values()]
    _add_rows(table, rows, None if all_classes else extremes(means, lower_is_better=row["better"] == "lower"))
    if len(row["classes"]) > 1:
        table.add_row(f"[bold]mean of {len(row['classes'])} classes[/bold]", shown(row["mean"]), *[""] * 4)
    return table


def shown(value: float | None) -> str:
    """A score with three decimals; a dash where it is undefined."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"
