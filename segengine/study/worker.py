"""One run of a study in a process of its own: forked from the study's, or `python -m segengine.study.worker`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from segengine.components.jobs import Place
from segengine.engine.distributed import World, open_world
from segengine.engine.memory import limit_gpu_part
from segengine.engine.signals import stop_on_signals
from segengine.errors import RunError, SegengineError
from segengine.events import Note
from segengine.specs.load import read_experiment
from segengine.study.executors.job_process import end_with_stdin, line_writer
from segengine.study.local import Datasets, execute
from segengine.study.plan import RunPlan
from segengine.study.wire import Teller, Told, line_of


def document_of(plan: RunPlan) -> dict[str, Any]:
    """All about a run as plain data, for another process with the same files."""
    loaded = plan.loaded
    return {
        "spec": str(loaded.path), "text": loaded.text, "overrides": list(loaded.overrides), "variant": plan.variant,
        "seed": plan.seed, "fold": plan.fold, "out": str(plan.out), "folder": os.getcwd(), "command": sys.argv,
    }  # fmt: skip


def plan_of(document: Mapping[str, Any]) -> RunPlan:
    """The run that a document is about; this process works in the study's folder from now on.

    Raises:
        RunError: the folder isn't there.
    """
    try:
        os.chdir(document["folder"])
    except OSError as error:
        raise RunError(
            f"{document['folder']}: {error.strerror}; every machine must have the study's folder under the same path"
        ) from error
    sys.argv = document["command"]  # what run.json names
    loaded = read_experiment(Path(document["spec"]), document["text"], document["overrides"])
    return RunPlan(loaded, document["variant"], document["seed"], document["fold"], Path(document["out"]))


def do(
    plan: RunPlan, place: Place, tell: Callable[[str], None], datasets: Datasets | None = None, patience: float = 0.0
) -> int:
    """Train, telling lines; the last is how it ended. Returns the exit code."""
    teller = Teller(tell)
    try:
        with open_world(place.device) as opened, stop_on_signals(lambda text: teller(Note(text))) as stop_wanted:
            world = replace(opened, runs=place.share)
            _share_cores(world)
            limit_gpu_part(world.device, place.gpu_part)
            outcome = next(execute([plan], world, teller, stop_wanted, datasets=datasets, patience=patience))
    except SegengineError as error:
        tell(line_of(Told("failed", str(error), type(error).__name__ if error.exit_code != 1 else "")))
        return error.exit_code
    tell(line_of(Told(outcome.status, outcome.message)))
    return int(outcome.status == "failed")


def _share_cores(world: World) -> None:
    """Runs at the same time on a CPU that each take all its cores would slow each other down."""
    if world.runs > 1 and world.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(max(1, torch.get_num_threads() // world.runs))


def main() -> None:
    """Do what the document on standard input says; tell on standard output."""
    document = json.loads(_line(0))
    tell = line_writer(os.dup(1))
    os.dup2(2, 1)
    end_with_stdin()
    place = Place(document["device"], document["share"], document.get("gpu_part", 1.0))

    try:
        plan = plan_of(document)
    except SegengineError as error:
        tell(line_of(Told("failed", str(error))))
        sys.exit(1)
    code = do(plan, place, tell, patience=document.get("patience", 0.0))
    sys.exit(code)


def _line(handle: int) -> bytes:
    """One line, and not a byte more, so that the rest can be watched."""
    line = bytearray()
    while (byte := os.read(handle, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


if __name__ == "__main__":
    main()
