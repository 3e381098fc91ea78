"""Events of a run as lines of JSON, on their way from the process that trains to the one that shows."""

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
"""Between two lines about steps: who watches needs no more."""


@dataclass(frozen=True)
class Told:
    """How a job itself says that it ended. `refusal` names the error where the request was wrong, else ''."""

    status: str
    message: str
    refusal: str = ""

    def error(self) -> SegengineError:
        """The refusal as an error."""
        kind: Any = getattr(errors, self.refusal, None)
        known = isinstance(kind, type) and issubclass(kind, SegengineError)
        return kind(self.message) if known else SegengineError(self.message)


_KINDS = {kind.__name__: kind for kind in (Doing, Note, RunStarted, StepDone, EpochScored, RunEnded, Told)}


class Teller:
    """A listener that writes events as lines; of steps, now and then one."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.next = 0.0

    def __call__(self, event: Any) -> None:
        frequent = isinstance(event, StepDone) or (isinstance(event, Doing) and event.done < event.total)
        if type(event).__name__ not in _KINDS or (frequent and time.monotonic() < self.next):
            return
        if frequent:
            self.next = time.monotonic() + _SECONDS
        self.tell(line_of(event))


def line_of(event: Any) -> str:
    """One line of JSON."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    return json.dumps({"event": type(event).__name__, **values}, default=str)


def event_of(line: str) -> Any:
    """The event that a line tells; None for a line that tells none."""
    try:
        values = json.loads(line)
        kind: Any = _KINDS[values.pop("event")]
        if "folder" in values:
            values["folder"] = Path(values["folder"])
        return kind(**values)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
