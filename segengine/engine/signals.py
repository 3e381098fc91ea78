"""SIGINT and SIGTERM as a stop request that the training loop honours after the current step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


@dataclass(frozen=True)
class Stop:
    """Stop request: the signals received so far."""

    received: list[int] = field(default_factory=list)

    def __call__(self) -> bool:
        return bool(self.received)

    @property
    def exit_code(self) -> int:
        """Exit code after an interruption: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + (self.received[0] if self.received else signal.SIGINT)


@contextmanager
def stop_on_signals(say: Callable[[str], None]) -> Iterator[Stop]:
    """Records SIGINT and SIGTERM in the yielded `Stop`. A second Ctrl-C raises KeyboardInterrupt."""
    stop = Stop()
    received = stop.received

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        say(f"{signal.Signals(number).name}: saving after this step (Ctrl-C again to stop immediately)")

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
