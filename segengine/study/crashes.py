"""Crashed runs: a message with the cause, and a record in the run folder."""

from __future__ import annotations

import signal
from contextlib import suppress

from segengine.components.jobs import JobEnded
from segengine.errors import RunError
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.runs.provenance import now
from segengine.study.executors.job_process import CRASHED

_CAUSES = {
    signal.SIGKILL: "usually the kernel's out-of-memory killer: choose a smaller crop, network or batch_size",
    signal.SIGSEGV: "a library accessed invalid memory",
    signal.SIGABRT: "a library aborted",
    signal.SIGBUS: "usually shared memory or a disk is full",
    signal.SIGILL: "a library was built for a different CPU (illegal instruction)",
    signal.SIGTERM: "terminated before a checkpoint was saved",
}


def crash_message(ended: JobEnded) -> str:
    """Message for a process that ended without a result: exit code or signal, and the last line of its output."""
    code = ended.exit_code
    if code is None:
        return ended.message
    if code < 0:
        number = signal.Signals(-code)
        what = f"its process was killed by {number.name}" + (f" ({_CAUSES[number]})" if number in _CAUSES else "")
    elif code == CRASHED:
        what = "its process failed with an unexpected error"
    else:
        what = f"its process exited with code {code} without a message"
    last = _last_output(ended.output)
    return what + (f"; last output: {last}" if last else "")


def _last_output(output: str) -> str:
    """The last line, or the Python location of a native crash as reported by faulthandler."""
    _, fatal, report = output.rpartition("Fatal Python error:")
    lines = [line.strip() for line in (report if fatal else output).splitlines() if line.strip()]
    if fatal:
        return ", ".join(lines[:1] + [line for line in lines if line.startswith("File ")][:1])
    return lines[-1] if lines else ""


def record_crash(folder: RunFolder, message: str, output: str) -> None:
    """Record the failure in the run folder, if it exists, with the process's output in the log."""
    with suppress(RunError, OSError):
        if not folder.exists:
            return
        with folder.locked():
            folder.update(status="failed", message=message, ended=now())
            with (folder / names.LOG).open("a", encoding="utf-8") as file:
                file.write(f"{now()} failed {message}\n" + "".join(f"  {line}\n" for line in output.splitlines()))
