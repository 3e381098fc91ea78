"""All benchmarks in one table.

    python -m tests.benchmarks [--only input step epoch memory discovery evaluation startup overhead] [--quick]

Without data it makes synthetic images; SEGENGINE_DATASETS names a folder of real sets. On a GPU: VGG16- and
ResNet34-UNet at 256 and 512 pixels, 16 workers for the plain loop; on a CPU VGG16-UNet at 256. No network is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.table import OURS, Row, document, facts, markdown, rows_of

HERE = Path(__file__).parent
PARTS = ("input", "step", "epoch", "memory", "discovery", "evaluation", "startup", "overhead")


def _figures(program: str, *arguments: str) -> Any:
    """What one of the single benchmarks writes as JSON, in a process of its own, for it sets the number of threads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        words = [sys.executable, "-m", f"tests.benchmarks.{program}", *arguments, "--json", str(path)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=HERE.parent.parent)
        return json.loads(path.read_text())


def input_rows(device: torch.device, workers: int, rounds: int, quick: bool) -> list[Row]:
    """The way from files to batches, on the CPU and on the device."""
    how = ["--seconds", "0.1", "--repeats", "1"] if quick else ["--seconds", "1", "--repeats", str(rounds)]
    rows, bounds = [], {"480x360": 3.0, "256x256": 2.0}
    found = _figures("input_path", "--workers", "0", str(workers), *how)["rows"]
    for size, count in sorted({(row["size"], row["workers"]) for row in found}, reverse=True):
        speeds = {r["what"]: r["images_per_second"] for r in found if (r["size"], r["workers"]) == (size, count)}
        source = next(row["source"] for row in found if row["size"] == size)
        case = f"{size} {source}, {count} workers"
        targets = {"plain, from files": (">=", bounds[size])} if count else {}
        rows += rows_of("input", case, "images/s", speeds, targets)
    found = _figures("device_path", "--device", device.type, "--workers", "0", str(workers), *how)
    speeds = {OURS if i == 0 else who: speed for i, (who, speed) in enumerate(found["images_per_second"].items())}
    return rows + rows_of("input", "480x360, batches made on the device", "images/s", speeds)


def step_rows(device: torch.device, workers: int, rounds: int, quick: bool) -> list[Row]:
    """Steps by streams and from memory."""
    from tests.benchmarks.step import measured

    if quick:
        return measured("vgg11", device=device, window=32, batch=2, workers=0, images=2, warm=1, steps=1, rounds=1)
    if device.type == "cpu":
        return measured(
            "vgg16", device=device, window=256, batch=4, workers=workers, images=16, warm=1, steps=2, rounds=rounds
        )
    rows = []
    for model in ("vgg16", "resnet34"):
        for window in (256, 512):
            rows += measured(
                model,
                device=device,
                window=window,
                batch=16,
                workers=workers,
                images=512,
                warm=20,
                steps=100,
                rounds=rounds,
            )
    return rows


def epoch_rows(device: torch.device, workers: int, rounds: int, quick: bool) -> list[Row]:
    """Whole epochs, and their memory."""
    from tests.benchmarks.epoch import PLAIN, measured

    if quick:
        return measured(
            "vgg11",
            device=device.type,
            window=32,
            batch=2,
            steps=1,
            validation=1,
            workers=0,
            rounds=1,
            contenders=(PLAIN, OURS),
        )
    if device.type == "cpu":
        return measured(
            "vgg16", device="cpu", window=256, batch=8, steps=6, validation=8, workers=workers, rounds=rounds
        )
    rows = []
    for model in ("vgg16", "resnet34"):
        rows += measured(
            model, device="cuda", window=256, batch=16, steps=100, validation=64, workers=workers, rounds=rounds
        )
    return rows


def evaluation_rows(device: torch.device, workers: int, rounds: int, quick: bool) -> list[Row]:
    """The metric part of validation beside the forward pass that it follows, on the CPU."""
    found = _figures("evaluation", *(["--side", "32", "--repeats", "1"] if quick else []))
    times = found["milliseconds"]
    values = {OURS: times["metric"], "limit: the forward pass": times["forward"]}
    values["plain arg-max alone"] = times["plain arg-max alone"]
    case = f"vgg16 U-Net, {found['side']}x{found['side']}, {found['classes']} classes, metric part"
    return rows_of("evaluation", case, "ms an image", values, {"limit: the forward pass": ("<=", 0.03)})


def discovery_rows(device: torch.device, workers: int, rounds: int, quick: bool) -> list[Row]:
    """Looking at all masks, and at whole folders for the first and the second time."""
    small = ["--masks", "4", "--side", "32", "--files", "20", "--repeats", "1"]
    found = _figures("discovery", *(small if quick else ["--repeats", str(rounds)]))
    rows: list[Row] = []
    for classes, seconds in found["seconds"].items():
        case = f"{found['side']}x{found['side']} masks, {classes} classes"
        each = {who: 1000 * value / found["masks"] for who, value in seconds.items()}
        alone = each.pop("segengine, one thread, without shapes")
        decoding = each.pop("limit: decoding, one thread")
        rows += rows_of("discovery", case, "ms a mask", each, {"plain: PIL and np.unique": ("<=", 0.5)})
        pair = {OURS: alone, "limit: decoding": decoding}
        rows += rows_of("discovery", f"{case}, one thread", "ms a mask", pair, {"limit: decoding": ("<=", 1.3)})
    for number, ((first, megabytes), (second, _)) in found["looks"].items():
        pair = {OURS: second, "segengine, first look": first}
        rows += rows_of("discovery", f"{number} small pairs, second look", "s", pair)
        rows += rows_of("discovery", f"{number} small pairs, first look", "MB", {OURS: megabytes})
    return rows


def startup_rows(device: torch.device, workers: int, rounds: int, quick: bool) -> list[Row]:
    """From a command to its first step."""
    from tests.benchmarks.startup import measured

    model, times = ("vgg11", 1) if quick else ("vgg16", rounds + 1)
    return measured(model, device=device.type, window=64, rounds=times)


def overhead_rows(device: torch.device, workers: int, rounds: int, quick: bool) -> list[Row]:
    """What the framework adds to a step of a tiny network on the CPU."""
    found = _figures("overhead", "--steps", "20" if quick else "1000")
    times, added = found["milliseconds_a_step"], found["added_milliseconds"]
    rows = rows_of("overhead", "a tiny network", "ms a step", times, {"bare loop": ("<=", 1.03)})
    more = rows_of("overhead", "a tiny network, added", "ms a step", {OURS: added})
    return rows + [replace(row, target="<= 0.5 ms", met=added <= 0.5) for row in more]


MEASURE: dict[str, Callable[[torch.device, int, int, bool], list[Row]]] = {
    "input": input_rows, "step": step_rows, "epoch": epoch_rows, "memory": epoch_rows, "evaluation": evaluation_rows,
    "discovery": discovery_rows, "startup": startup_rows, "overhead": overhead_rows,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked for and print the table."""
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts; all of them otherwise")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--workers", type=int, help="of the plain loops: 16 on a GPU and 2 on a CPU unless given")
    parser.add_argument("--rounds", type=int, default=2, help="in which all contenders take turns; the best counts")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that all parts work; says nothing")
    given = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", "This DataLoader will create")
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(auto if given.device == "auto" else given.device)
    workers = given.workers if given.workers is not None else (16 if device.type == "cuda" else 2)
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    about, rows = facts(device), []
    for measure in dict.fromkeys(MEASURE[part] for part in given.only):
        parts = [row for row in measure(device, workers, given.rounds, given.quick) if row.part in given.only]
        rows += parts
        sys.stderr.writelines(f"{row.part}: {row.case}: {row.who}: {row.value:.4g} {row.unit}\n" for row in parts)
    table = markdown(rows, about)
    sys.stdout.write(table)
    for path, text in ((given.markdown, table), (given.json, document(rows, about))):
        if path:
            path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
