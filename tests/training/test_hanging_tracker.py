"""A tracker that hangs doesn't outlive a stop request."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from segengine.engine import signals
from segengine.engine.signals import stop_on_signals
from segengine.events import Note
from segengine.plugin import Tracker
from segengine.training.listeners import Listeners


def hang() -> None:
    while True:
        try:
            time.sleep(60)
        except Exception:
            continue


class Hanging(Tracker):
    """Hangs."""

    name: Literal["hanging"] = "hanging"
    where: Literal["build", "event"] = "event"

    def build(self, *, folder: Path) -> Any:
        if self.where == "build":
            hang()
        return lambda event: hang()


@pytest.mark.parametrize("where", ["build", "event"])
@pytest.mark.parametrize("early", [False, True])
def test_a_hanging_tracker_ends_after_a_stop_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, early: bool
) -> None:
    monkeypatch.setattr(signals, "GRACE", 0.2)
    heard: list[Any] = []
    listeners = Listeners(heard.append)
    before = signal.getsignal(signal.SIGALRM)
    with stop_on_signals(lambda text: None) as stop:
        if early:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        began = time.monotonic()
        listeners.add_tracker(Hanging(where=where), tmp_path)
        listeners("something")
        assert time.monotonic() - began < 5
    assert stop.exit_code == 143
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert notes == [
        "the tracker hanging did not respond within 0.2 seconds of the stop request and is disabled for this run"
    ]
    assert listeners.listeners == [heard.append]
    assert signal.getsignal(signal.SIGALRM) == before


def test_a_tracker_that_ends_in_time_stays(tmp_path: Path) -> None:
    class Slow(Tracker):
        """Takes a moment."""

        name: Literal["slow"] = "slow"

        def build(self, *, folder: Path) -> Any:
            return lambda event: time.sleep(0.05)

    listeners = Listeners()
    with stop_on_signals(lambda text: None):
        os.kill(os.getpid(), signal.SIGTERM)
        listeners.add_tracker(Slow(), tmp_path)
        listeners("something")
    assert len(listeners.listeners) == 1
