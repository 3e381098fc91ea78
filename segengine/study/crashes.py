"""Runs whose process died without a word: why in words, and a folder that says so."""

from __future__ import annotations

import signal
from contextlib import suppress

from segengine.components.jobs import JobEnded
from segengine.errors import RunError
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.runs.provenance import now
from segengine.study.executors.job_process import CRASHED

_WHY = {
    signal.SIGKILL: "usually the kernel's out-of-memory killer: choose a smaller crop, network or batch_size",
    signal.SIGSEGV: "a library accessed invalid memory",
    signal.SIGABRT: "a library aborted",
    signal.SIGBUS: "usually shared memory or a disk is full",
    signal.SIGILL: "a library was built for a different CPU (illegal instruction)",
    signal.SIGTERM: "terminated before a checkpoint was saved",
}


def crash_message(ended: JobEnded) -> str:
    """Exit code or signal of a process that didn't say how its run ended, and its last line."""
    code = ended.exit_code
    if code is None:
        return ended.message
    if code < 0:
        number = signal.Signals(-code)
        what = f"its process was killed by {number.name}" + (f" ({_WHY[number]})" if number in _WHY else "")
    elif code == CRASHED:
        what = "its process failed with an unexpected error"
    else:
        what = f"its process exited with code {code} without a message"
    last = _last_words(ended.said)
    return what + (f"; last output: {last}" if last else "")


def _last_words(said: str) -> str:
    """The last line, or where Python was when native code crashed (as the module faulthandler reports it)."""
    _, fatal, report = said.rpartition("Fatal Python error:")
    lines = [line.strip() for line in (report if fatal else said).splitlines() if line.strip()]
    if fatal:
        return ", ".join(lines[:1] + [line for line in lines if line.startswith("File ")][:1])
    return lines[-1] if lines else ""


def record_crash(folder: RunFolder, message: str, said: str) -> None:
    """Write into a run's folder, if there is one, that the run failed; what its process said goes into the log."""
    with suppress(RunError, OSError):
        if not folder.exists:
            return
        with folder.locked():
            folder.update(status="failed", message=message, ended=now())
            with (folder / names.LOG).open("a", encoding="utf-8") as file:
                file.write(f"{now()} failed {message}\n" + "".join(f"  {line}\n" for line in said.splitlines()))
