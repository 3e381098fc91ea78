"""Passes a run's events on to everyone who listens; none of them can harm the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segengine.components.base import Tracker
from segengine.errors import unexpected
from segengine.events import Listener, Note


class Listeners:
    """Tells each listener each event. One that raises is reported once, to the others, and hears nothing more."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = list(listeners)

    def add(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def add_tracker(self, tracker: Tracker, folder: Path) -> None:
        """Let a tracker listen to the run in `folder`; one that can't be built is reported."""
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
