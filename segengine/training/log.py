"""log.txt: events of a run, one line per event with a timestamp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segengine.errors import counted
from segengine.events import Ended, EpochScored, Note, RunEnded, RunStarted, Saved
from segengine.metrics.names import DEFAULT_METRIC, LABELS
from segengine.runs.provenance import now


def log(path: Path, event: Any) -> None:
    """Append an event to the log; steps and progress aren't logged."""
    lines = _lines(event)
    if lines:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{now()} {line}\n" for line in lines)


def _lines(event: Any) -> list[str]:
    match event:
        case RunStarted():
            again = f" after step {event.resumed_step}" if event.resumed_step else ""
            return [
                f"started{again}: {event.budget} of {counted(event.steps_per_epoch, 'step')}",
                *(f"{k}: {v}" for k, v in event.facts.items()),
            ]
        case Note():
            return [f"note: {event.text}"]
        case EpochScored():
            row = event.row
            line = f"epoch {row['epoch']}: loss {row['train_loss']:.5f}, rate {row['learning_rate']:.3e}"
            line += f", {row['images_per_second']:.2f} images/s"
            score = row["validation"]["mean"][DEFAULT_METRIC] if "validation" in row else None
            return [
                line
                + (f", validation {LABELS[DEFAULT_METRIC]} {score:.4f}" if score is not None else "")
                + (", best" if event.best else "")
            ]
        case Saved():
            return [f"saved the {event.kind} checkpoint after step {event.step}"]
        case Ended():
            return [f"training {event.reason} after epoch {event.epoch}, step {event.step}"]
        case RunEnded():
            return [f"{event.status} {event.message}".rstrip()]
        case _:
            return []
