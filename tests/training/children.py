"""The command line in a process of its own that is struck down at a chosen moment."""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import signal
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_PRELOADED = [
    "torch", "timm", "segmentation_models_pytorch", "cv2", "segengine.cli.run", "segengine.study.local", "segengine.engine.signals",
    "segengine.components.sources", "segengine.components.backbones", "segengine.nn.timm_backbone", "tests.training.children",
]  # fmt: skip


@dataclass(frozen=True)
class Blow:
    """Signals that a process sends itself at a call of a function, before it or `after` it."""

    at: str
    """Such as `segengine.engine.step:TrainingStep.__call__`."""
    call: int
    number: int = signal.SIGKILL
    after: bool = False
    times: int = 1


@cache
def context() -> Any:
    """Processes forked from one that has all imports and never trained: a second's wait becomes none."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def run(*arguments: str | Path, folder: Path, blow: Blow | None = None) -> int:
    """Run the command line without drawing reports; returns its exit code, or minus the signal that ended it.

    What it says goes to said.txt in `folder`.
    """
    child = start(*arguments, folder=folder, blow=blow)
    child.join(100)
    assert child.exitcode is not None, "the command hangs"
    return int(child.exitcode)


def start(*arguments: str | Path, folder: Path, blow: Blow | None = None) -> Any:
    """Like `run`, without waiting: returns the process."""
    child = context().Process(target=_main, args=([str(a) for a in arguments], folder, blow), daemon=True)
    child.start()
    return child


def told_to_end(pid: int) -> bool:
    """Whether SIGTERM waits for a stopped process to go on (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [pending] = [int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd:")]
    return bool(pending >> (signal.SIGTERM - 1) & 1)


def _main(arguments: list[str], folder: Path, blow: Blow | None) -> None:
    import torch

    import segengine.training.finish
    from segengine.cli.main import main

    torch.set_num_threads(1)
    segengine.training.finish._report = lambda *arguments: None  # type: ignore[assignment]
    os.chdir(folder)
    said = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    if blow is not None:
        _arm(blow)
    main(arguments)


def _arm(blow: Blow) -> None:
    module, _, path = blow.at.partition(":")
    owner, name = (
        (module, path) if "." not in path else (f"{module}:{path.rpartition('.')[0]}", path.rpartition(".")[2])
    )
    place = pkgutil.resolve_name(owner)
    real, calls = getattr(place, name), 0

    def struck(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != blow.call:
            return real(*arguments, **named)
        if blow.after:
            real(*arguments, **named)
        for _ in range(blow.times):
            os.kill(os.getpid(), blow.number)
        return real(*arguments, **named)

    setattr(place, name, struck)
