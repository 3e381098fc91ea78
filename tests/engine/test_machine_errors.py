from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch

from segengine.engine.fit import fit
from segengine.engine.machine_errors import explained
from segengine.engine.signals import stop_on_signals
from segengine.events import StepDone
from tests.engine.tiny import problem

AGAIN = "run the same command again to resume from the last checkpoint"


def test_memory_disks_and_workers_are_explained_and_nothing_else() -> None:
    memory = explained(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert str(memory) == (
        "out of memory (CUDA out of memory); close other programs that use the device, or start a run with a smaller "
        "crop, network or training.batch_size"
    )
    denied = explained(PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/runs/a/log.txt"))
    assert (
        str(denied) == f"/runs/a/log.txt: can't be written (Permission denied); make the folder writable, and {AGAIN}"
    )
    assert "the disk is full" in str(explained(OSError(errno.ENOSPC, "No space left on device")))
    assert explained(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    assert explained(ValueError("x")) is None


def train_while_a_worker_is_killed(folder: Path) -> None:
    p = problem(folder, workers=3, epochs=40)  # so many are processes, not threads
    try:
        for event in fit(p.step, p.stream, p.settings, p.paths, evaluator=p.evaluator):
            if isinstance(event, StepDone) and event.step == 1:
                os.kill(p.stream._batches._workers[0].pid, signal.SIGKILL)  # type: ignore[attr-defined]
    except Exception as error:
        # It is explained already where a checkpoint was being written.
        (folder / "said").write_text(str(explained(error) or error))
    os._exit(0)


@pytest.mark.slow
def test_a_killed_worker_is_explained(tmp_path: Path) -> None:
    # In a process of its own: torch may raise again at any time while it knows of the dead worker.
    child = multiprocessing.get_context("spawn").Process(target=train_while_a_worker_is_killed, args=(tmp_path,))
    child.start()
    child.join(300)
    said = (tmp_path / "said").read_text()
    assert said.startswith("a data loading worker died (")
    assert said.endswith(f"set training.workers to fewer or 0, and {AGAIN}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_each_signal_has_its_exit_code(number: signal.Signals, code: int) -> None:
    with stop_on_signals(lambda _: None) as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert stop.exit_code == code
