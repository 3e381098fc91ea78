"""Ctrl-C and SIGTERM as a wish that the loop fulfils at the end of the step at hand."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


@dataclass(frozen=True)
class Stop:
    """Whether a signal asked for the end, and which."""

    received: list[int] = field(default_factory=list)

    def __call__(self) -> bool:
        return bool(self.received)

    @property
    def exit_code(self) -> int:
        """What a process ends with that a signal stopped: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.received[0] if self.received else signal.SIGINT)


@contextmanager
def stop_on_signals(say: Callable[[str], None]) -> Iterator[Stop]:
    """Says whether SIGINT or SIGTERM came. A second Ctrl-C interrupts at once."""
    stop = Stop()
    received = stop.received

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        say(f"{signal.Signals(number).name}: saving after this step (Ctrl-C again to stop at once)")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
