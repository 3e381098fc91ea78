"""Ctrl-C from the first moment on: never lost in an import, never waiting for one."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

INTERRUPTED = 130
_PATIENCE = 10.0
"""Seconds that an interrupted command has for cleaning up; a thread that hangs in an import could hold it for ever."""


def handle_from_the_start() -> None:
    """Make Ctrl-C end this process, whatever it is doing.

    Within an import it ends at once: an exception there can be swallowed by native code, or leave half a module behind that
    other threads wait for. Elsewhere it raises KeyboardInterrupt, so that files are cleaned up. Training has its own handler.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell started this in the background
        return
    owner = os.getpid()

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a fork, whose parent says what there is to say
            raise KeyboardInterrupt
        if number != signal.SIGINT or _importing(frame):
            end_at_once()
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, on_interrupt)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, on_interrupt)


def end_at_once() -> None:
    """End this process without waiting for threads; what was written stays as a killed process leaves it: whole files."""
    with suppress(OSError):
        show_cursor = b"\x1b[?25h" if os.isatty(2) else b""
        os.write(2, show_cursor + b"error: interrupted\n")
    os._exit(INTERRUPTED)


def end_without_threads(code: object) -> None:
    """End this process if it was interrupted and threads are left, of which one could hang; else do nothing."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # nothing is left to clean up
    if code == INTERRUPTED and threading.active_count() > 1:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(INTERRUPTED)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return "segengine.cli.main" not in sys.modules
