"""Ctrl-C and SIGTERM as a wish that the loop fulfils at the end of the step at hand."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signals(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """A function that says whether SIGINT or SIGTERM came. A second Ctrl-C interrupts at once."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        say(f"{signal.Signals(number).name}: saving after this step (Ctrl-C again to stop at once)")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
