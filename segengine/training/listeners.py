"""Dispatch of a run's events to listeners, isolated from their failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segengine.components.base import Tracker
from segengine.engine import signals
from segengine.engine.signals import NotRespondingError, limited_after_stop
from segengine.errors import unexpected
from segengine.events import Listener, Note


class Listeners:
    """Calls each listener with each event. A listener that raises is reported to the others and removed."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = list(listeners)
        self._trackers: dict[int, str] = {}

    def add(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def add_tracker(self, tracker: Tracker, folder: Path) -> None:
        """Add a tracker for the run in `folder`; a failure is reported as a note."""
        try:
            with limited_after_stop():
                listener = tracker.build(folder=folder)
            self.add(listener)
            self._trackers[id(listener)] = tracker.name
        except NotRespondingError:
            self(Note(_hangs(tracker.name)))
        except (Exception, SystemExit) as error:
            self(Note(f"the tracker {tracker.name} can't be used and is disabled for this run: {unexpected(error)}"))

    def __call__(self, event: Any) -> None:
        for listener in tuple(self.listeners):
            try:
                if id(listener) in self._trackers:
                    with limited_after_stop():
                        listener(event)
                else:
                    listener(event)
            except NotRespondingError:
                self.listeners.remove(listener)
                self(Note(_hangs(self._trackers[id(listener)])))
            except (Exception, SystemExit) as error:
                self.listeners.remove(listener)
                name = getattr(listener, "__qualname__", type(listener).__qualname__)
                self(Note(f"a listener failed and is disabled for this run: {name}: {type(error).__name__}: {error}"))


def _hangs(name: str) -> str:
    return f"the tracker {name} did not respond within {signals.GRACE:g} seconds of the stop request and is disabled for this run"
