"""Whole epochs, validation and checkpoint included, each contender in processes of its own; and their memory.

A process trains two epochs, and the second counts: from the end of the first to its own end. Memory is the most that
it had resident together with what its workers have alone (pages they share with it count once), sampled from outside;
beside it that of the training process alone, and on a GPU what torch allocated.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.material import experiment, material
from tests.benchmarks.table import OURS, Row, by_turns, rows_of

PLAIN, SAME_NETWORK = "plain loop", "plain loop, segengine's network"


def measured(
    model: str, *, device: str, window: int, batch: int, steps: int, validation: int, workers: int, rounds: int,
    contenders: tuple[str, ...] = (PLAIN, SAME_NETWORK, OURS),
) -> list[Row]:  # fmt: skip
    """Seconds of an epoch of `steps` and of the images of `validation`, and megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = material(root / "data", steps * batch, validation)
        wanted = {
            "root": str(data.root), "source": data.source, "model": model, "device": device, "window": window,
            "batch": batch, "workers": workers, "folder": folder,
        }  # fmt: skip
        last: dict[str, dict[str, Any]] = {}
        peaks: dict[str, dict[str, float]] = {"with its workers": {}, "the training process alone": {}}

        def seconds(who: str) -> float:
            last[who] = _child({**wanted, "who": who})
            for what, most in zip(peaks, last[who]["peaks_mb"], strict=True):
                peaks[what][who] = min(peaks[what].get(who, 1e18), most)
            first, second = last[who]["ends"]
            return float(second - first)

        times = by_turns({who: (lambda who=who: seconds(who)) for who in contenders}, rounds)  # type: ignore[misc]
    case = f"{model} U-Net, {steps} steps of {batch} at {window}, {validation} validation images, {data.source}"
    on_cpu, speeds = device == "cpu", {who: steps * batch / value for who, value in times.items()}
    sizes = {who: float(found["parameters"]) / 1e6 for who, found in last.items()}
    return [
        *rows_of("epoch", case, "s", times, {PLAIN: ("<=", 0.80)} if on_cpu else {}),
        *rows_of("epoch", case, "images/s trained", speeds, {} if on_cpu else {PLAIN: (">=", 2.0)}),
        *rows_of("memory", f"{case}, with its workers", "MB", peaks["with its workers"], {PLAIN: ("<=", 1.0)}),
        *rows_of("memory", f"{case}, the training process alone", "MB", peaks["the training process alone"]),
        *rows_of("epoch", f"{model} U-Net", "million parameters", sizes),
    ]


def _child(wanted: dict[str, Any]) -> dict[str, Any]:
    """Runs one contender and gives what it printed, with its most memory."""
    words = [sys.executable, "-m", "tests.benchmarks.epoch", json.dumps(wanted)]
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(words, stdout=said, stderr=errors)
        together, alone, watched = 0.0, 0.0, psutil.Process(process.pid)
        while process.poll() is None:
            resident, workers = _resident(watched)
            together, alone = max(together, resident + workers), max(alone, resident)
            time.sleep(0.1)
        said.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{wanted['who']} failed:\n{errors.read()[-3000:]}")
        found: dict[str, Any] = json.loads(said.read().splitlines()[-1])
    peaks = [found["cuda_mb"] or together / 1e6, found["cuda_mb"] or alone / 1e6]
    return {**found, "peaks_mb": peaks}


def _resident(process: psutil.Process) -> tuple[float, float]:
    """Bytes of a process, and what its workers have alone: a copy of a page from when they write to it."""
    with suppress(psutil.Error):  # it has just ended
        own = float(process.memory_info().rss)
        return own, float(sum(_private(worker.pid) for worker in process.children(recursive=True)))
    return 0.0, 0.0


def _private(pid: int) -> int:
    """Bytes of the pages that no other process maps, see proc(5)."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
    return 0


def _train_plain(wanted: dict[str, Any], folder: Path) -> tuple[list[float], int]:
    import torch

    from tests.benchmarks import plain
    from tests.benchmarks.material import Material

    network, data = None, Material(Path(wanted["root"]), wanted["source"])
    if wanted["who"] == SAME_NETWORK:
        from segengine.building.build import build_segmenter
        from segengine.specs.load import load_experiment

        loaded = load_experiment(_experiment(wanted, folder))
        network = build_segmenter(next(iter(loaded.variants.values())), channels=3, num_classes=plain.CLASSES)
    loop = plain.Loop(wanted["model"], torch.device(wanted["device"]), network)
    ends = list(
        plain.epochs(
            loop,
            data,
            window=wanted["window"],
            batch=wanted["batch"],
            count=2,
            workers=wanted["workers"],
            folder=folder,
        )
    )
    return ends, sum(each.numel() for each in loop.model.parameters())


def _experiment(wanted: dict[str, Any], folder: Path) -> Path:
    return experiment(
        folder, Path(wanted["root"]), model=wanted["model"], window=wanted["window"], batch=wanted["batch"], epochs=2,
        workers=-1,
    )  # fmt: skip


class _Enough(BaseException):
    """The second epoch is over; what a run does after its last epoch isn't measured."""


def _train_ours(wanted: dict[str, Any], folder: Path) -> tuple[list[float], int]:
    """What `segengine run` does, with a listener that looks at the clock."""
    from segengine.engine.distributed import open_world
    from segengine.events import Saved
    from segengine.runs.folder import RunFolder
    from segengine.specs.load import load_experiment
    from segengine.study.local import execute
    from segengine.study.plan import plans

    chosen, ends = plans(load_experiment(_experiment(wanted, folder)), folder / "runs"), []

    def listener(event: Any) -> None:
        if isinstance(event, Saved) and event.kind == "last":
            ends.append(time.time())
            if len(ends) == 2:
                raise _Enough

    with open_world(wanted["device"]) as world:
        try:
            for outcome in execute(chosen, world, listener, lambda: False):
                raise RuntimeError(f"{outcome.status}: {outcome.message}")
        except _Enough:
            pass
    return ends, int(RunFolder(chosen[0].folder).read()["parameters"])


def main() -> None:
    """One contender, in this process."""
    wanted = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory(dir=wanted["folder"]) as folder:
        train = _train_ours if wanted["who"] == OURS else _train_plain
        ends, parameters = train(wanted, Path(folder))
        import torch

        cuda = torch.cuda.max_memory_allocated() / 1e6 if wanted["device"].startswith("cuda") else 0
        sys.stdout.write(json.dumps({"ends": ends, "parameters": parameters, "cuda_mb": cuda}) + "\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
