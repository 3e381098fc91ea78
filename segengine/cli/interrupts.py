"""Handling of Ctrl-C from process start, including during imports."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

INTERRUPTED = 130
TERMINATED = 143
_PATIENCE = 10.0
"""Seconds for clean-up after an interrupt; a thread that hangs in an import would otherwise block the exit."""


def handle_from_the_start() -> None:
    """Install the SIGINT handler of the command line.

    During an import the process exits immediately: native code can swallow an exception raised there, and a partially
    imported module can block other threads. Elsewhere KeyboardInterrupt is raised, so that temporary files are removed.
    Training installs its own handler.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background by a shell
        return
    owner = os.getpid()

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a fork; the parent prints the message
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
    """Exit without waiting for threads; files are written atomically, so none is left incomplete."""
    with suppress(OSError):
        show_cursor = b"\x1b[?25h" if os.isatty(2) else b""
        os.write(2, show_cursor + b"error: interrupted\n")
    os._exit(INTERRUPTED)


def end_without_threads(code: object) -> None:
    """Exit immediately after an interrupt if other threads, which may hang, are still running."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # nothing is left to clean up
    if code in (INTERRUPTED, TERMINATED) and threading.active_count() > 1:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(INTERRUPTED if code == INTERRUPTED else TERMINATED)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return "segengine.cli.main" not in sys.modules
