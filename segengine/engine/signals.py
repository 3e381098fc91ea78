"""SIGINT and SIGTERM as a stop request that the training loop honours after the current step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

GRACE = 5.0
"""Seconds that code of a plugin has left after a stop request."""


class NotRespondingError(BaseException):
    """Raised in code that runs for longer than GRACE seconds after a stop request; no `except Exception` catches it."""


@dataclass
class _State:
    """The current stop request, and whether code with limited time is running."""

    stop: Stop | None = None
    limited: bool = False


_state = _State()


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
        if _state.limited:
            _start_timer()
        say(f"{signal.Signals(number).name}: saving after this step (Ctrl-C again to stop immediately)")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, note) for number in numbers}
    outer, _state.stop = _state.stop, stop
    try:
        yield stop
    finally:
        _state.stop = outer
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def limited_after_stop() -> Iterator[None]:
    """For calls of a plugin's tracker: GRACE seconds after a stop request NotRespondingError is raised inside, then every second.

    Has no effect outside the main thread and on systems without timers. Native code that never returns isn't interrupted.
    """
    if _state.limited or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _not_responding)
    _state.limited = True
    try:
        if _state.stop is not None and _state.stop():
            _start_timer()
        yield
    finally:
        _state.limited = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _start_timer() -> None:
    signal.setitimer(signal.ITIMER_REAL, GRACE, 1.0)


def _not_responding(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    if _state.limited:
        raise NotRespondingError
