"""Serialisation of events as lines of JSON, from the training process to the process that displays them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from segengine import errors
from segengine.errors import SegengineError
from segengine.events import Doing, EpochScored, Note, RunEnded, RunStarted, StepDone

_SECONDS = 0.5
"""Minimum interval between lines about steps."""


@dataclass(frozen=True)
class JobResult:
    """Result reported by a job. `refusal` is the error class of an invalid request, '' otherwise."""

    status: str
    message: str
    refusal: str = ""

    def error(self) -> SegengineError:
        """The refusal as an error."""
        kind: Any = getattr(errors, self.refusal, None)
        known = isinstance(kind, type) and issubclass(kind, SegengineError)
        return kind(self.message) if known else SegengineError(self.message)


_KINDS = {kind.__name__: kind for kind in (Doing, Note, RunStarted, StepDone, EpochScored, RunEnded, JobResult)}


class EventWriter:
    """A listener that writes events as lines; steps at most every `_SECONDS`."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self.send = send
        self.next = 0.0

    def __call__(self, event: Any) -> None:
        frequent = isinstance(event, StepDone) or (isinstance(event, Doing) and event.done < event.total)
        if type(event).__name__ not in _KINDS or (frequent and time.monotonic() < self.next):
            return
        if frequent:
            self.next = time.monotonic() + _SECONDS
        self.send(line_of(event))


def line_of(event: Any) -> str:
    """One line of JSON."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    return json.dumps({"event": type(event).__name__, **values}, default=str)


def event_of(line: str) -> Any:
    """The event of a line; None if the line isn't an event."""
    try:
        values = json.loads(line)
        kind: Any = _KINDS[values.pop("event")]
        if "folder" in values:
            values["folder"] = Path(values["folder"])
        return kind(**values)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
