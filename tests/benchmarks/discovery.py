"""Looking at all masks before training, beside decoding alone and beside a loop of PIL and `np.unique`.

    python -m tests.benchmarks.discovery [--classes 2 20 150] [--masks 200] [--files 1000 10000] [--json FILE]

Masks of 512x512 with regions of up to so many values, from 24 distinct arrays, as PNG. "one thread" has both sides on one
thread: the survey's own work beside decoding. Then the first and the second look at folders of small pairs (24x24), as
`segengine inspect` takes them: seconds, and the memory that the process has taken at most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tests.benchmarks.table import by_turns

_DISTINCT = 24
_LOOK = """
import json, resource, sys, time
from pathlib import Path
from segengine.inspection.inspect import inspect_folder
began = time.perf_counter()
inspect_folder(Path(sys.argv[1]), lambda event: None)
seconds = time.perf_counter() - began
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6]))
"""


def regions(side: int, classes: int, rng: np.random.Generator) -> np.ndarray:
    """A mask of square-ish regions of random values below `classes`."""
    coarse = rng.integers(0, classes, (12, 12)).astype(np.uint8)
    jitter = rng.normal(0, side / 60, (2, side, side)).astype(np.float32)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    smooth = [cv2.GaussianBlur(part, (0, 0), side / 50) * 12 for part in jitter]
    places = [
        np.clip((axis + shift) * 12 / side, 0, 11).astype(int) for axis, shift in zip((y, x), smooth, strict=True)
    ]
    return coarse[places[0], places[1]]


def write_pairs(folder: Path, number: int, classes: int, side: int) -> None:
    """`number` pairs of images and masks, of which few are distinct."""
    rng = np.random.default_rng(classes)
    contents = []
    for _ in range(_DISTINCT):
        mask = regions(side, classes, rng)
        picture = cv2.merge([mask, mask, mask]) + rng.integers(0, 20, (side, side, 3), dtype=np.uint8)
        contents.append([cv2.imencode(".png", array)[1].tobytes() for array in (picture, mask)])
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i in range(number):
        for kind, content in zip(("images", "masks"), contents[i % _DISTINCT], strict=True):
            (folder / kind / f"{i:07d}.png").write_bytes(content)


def timed(work: Callable[[], Any]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def mask_passes(folder: Path, rounds: int) -> dict[str, float]:
    """Seconds of each way over the masks of a folder, by turns."""
    from segengine.data.files.decoding import decode
    from segengine.data.masks.facts import mask_facts
    from segengine.data.masks.survey import survey_masks

    paths = sorted((folder / "masks").glob("*.png"))

    def plain() -> None:
        for path in paths:
            with Image.open(path) as image:
                np.unique(np.asarray(image), return_counts=True)

    return by_turns(
        {
            "segengine": lambda: timed(lambda: survey_masks(paths, folder)),
            "plain: PIL and np.unique": lambda: timed(plain),
            "segengine, one thread, without shapes": lambda: timed(lambda: [mask_facts(path) for path in paths]),
            "limit: decoding, one thread": lambda: timed(lambda: [decode(path) for path in paths]),
        },
        rounds,
    )


def looks(folder: Path, cache: Path) -> list[list[float]]:
    """(seconds, megabytes) of the first and the second look at a folder, each in a process of its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    time.sleep(2.5)  # files that have just been written are checked by content
    command = [sys.executable, "-c", _LOOK, str(folder)]
    return [
        json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
        for _ in range(2)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 20, 150])
    parser.add_argument("--masks", type=int, default=200)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--files", type=int, nargs="*", default=[1000, 10000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"masks": arguments.masks, "side": arguments.side, "seconds": {}, "looks": {}}
    with tempfile.TemporaryDirectory() as place:
        for classes in arguments.classes:
            write_pairs(Path(place) / f"c{classes}", arguments.masks, classes, arguments.side)
            found = mask_passes(Path(place) / f"c{classes}", arguments.repeats)
            figures["seconds"][str(classes)] = found
            sys.stdout.write(
                f"{classes} classes: "
                + ", ".join(f"{k} {1e3 * v / arguments.masks:.2f} ms" for k, v in found.items())
                + "\n"
            )
        for number in arguments.files:
            write_pairs(Path(place) / f"n{number}", number, 5, 24)
            found_looks = looks(Path(place) / f"n{number}", Path(place) / "cache")
            figures["looks"][str(number)] = found_looks
            sys.stdout.write(
                f"{number} pairs: " + ", then ".join(f"{s:.2f} s, {mb:.0f} MB" for s, mb in found_looks) + "\n"
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
