"""One run of a study in its own process: forked, or `python -m segengine.study.worker`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from segengine.components.jobs import JobPlacement
from segengine.engine.distributed import World, open_world
from segengine.engine.memory import limit_gpu_part
from segengine.engine.signals import stop_on_signals
from segengine.errors import RunError, SegengineError
from segengine.events import Note
from segengine.specs.load import read_experiment
from segengine.study.executors.job_process import end_with_stdin, line_writer
from segengine.study.local import Datasets, execute
from segengine.study.plan import RunPlan
from segengine.study.wire import EventWriter, JobResult, line_of


def document_of(plan: RunPlan) -> dict[str, Any]:
    """A run as plain data, for another process with the same files."""
    loaded = plan.loaded
    return {
        "spec": str(loaded.path), "text": loaded.text, "overrides": list(loaded.overrides), "variant": plan.variant,
        "seed": plan.seed, "fold": plan.fold, "out": str(plan.out), "folder": os.getcwd(), "command": sys.argv,
    }  # fmt: skip


def plan_of(document: Mapping[str, Any]) -> RunPlan:
    """The run of a document; changes the working directory to the study's folder.

    Raises:
        RunError: the folder doesn't exist.
    """
    try:
        os.chdir(document["folder"])
    except OSError as error:
        raise RunError(
            f"{document['folder']}: {error.strerror}; every machine must have the study's folder under the same path"
        ) from error
    sys.argv = document["command"]  # recorded in run.json
    loaded = read_experiment(Path(document["spec"]), document["text"], document["overrides"])
    return RunPlan(loaded, document["variant"], document["seed"], document["fold"], Path(document["out"]))


def do(
    plan: RunPlan,
    placement: JobPlacement,
    send: Callable[[str], None],
    datasets: Datasets | None = None,
    patience: float = 0.0,
) -> int:
    """Train and send events as lines, the result last. Returns the exit code."""
    write_event = EventWriter(send)
    try:
        with (
            open_world(placement.device) as opened,
            stop_on_signals(lambda text: write_event(Note(text))) as stop_wanted,
        ):
            world = replace(opened, runs=placement.concurrent_jobs)
            _share_cores(world)
            limit_gpu_part(world.device, placement.gpu_part)
            outcome = next(execute([plan], world, write_event, stop_wanted, datasets=datasets, patience=patience))
    except SegengineError as error:
        send(line_of(JobResult("failed", str(error), type(error).__name__ if error.exit_code != 1 else "")))
        return error.exit_code
    send(line_of(JobResult(outcome.status, outcome.message)))
    return int(outcome.status == "failed")


def _share_cores(world: World) -> None:
    """Divide the CPU threads among concurrent runs."""
    if world.runs > 1 and world.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(max(1, torch.get_num_threads() // world.runs))


def main() -> None:
    """Run the document on standard input; events go to standard output."""
    document = json.loads(_line(0))
    send = line_writer(os.dup(1))
    os.dup2(2, 1)
    end_with_stdin()
    placement = JobPlacement(document["device"], document["share"], document.get("gpu_part", 1.0))

    try:
        plan = plan_of(document)
    except SegengineError as error:
        send(line_of(JobResult("failed", str(error))))
        sys.exit(1)
    code = do(plan, placement, send, patience=document.get("patience", 0.0))
    sys.exit(code)


def _line(handle: int) -> bytes:
    """Read one line and no further byte, so that the end of the stream can still be observed."""
    line = bytearray()
    while (byte := os.read(handle, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


if __name__ == "__main__":
    main()
