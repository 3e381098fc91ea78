"""Dispatch of a run's events to listeners, isolated from their failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segengine.components.base import Tracker
from segengine.errors import unexpected
from segengine.events import Listener, Note


class Listeners:
    """Calls each listener with each event. A listener that raises is reported to the others and removed."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = list(listeners)

    def add(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def add_tracker(self, tracker: Tracker, folder: Path) -> None:
        """Add a tracker for the run in `folder`; a failure is reported as a note."""
        try:
            self.add(tracker.build(folder=folder))
        except (Exception, SystemExit) as error:
            self(Note(f"the tracker {tracker.name} can't be used and is disabled for this run: {unexpected(error)}"))

    def __call__(self, event: Any) -> None:
        for listener in tuple(self.listeners):
            try:
                listener(event)
            except (Exception, SystemExit) as error:
                self.listeners.remove(listener)
                name = getattr(listener, "__qualname__", type(listener).__qualname__)
                self(Note(f"a listener failed and is disabled for this run: {name}: {type(error).__name__}: {error}"))
