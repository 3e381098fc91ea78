"""Seconds from a command to the first training step, beside importing the libraries that the step needs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.material import experiment, material
from tests.benchmarks.table import OURS, Row, by_turns, rows_of

FIRST_STEP = """
import os, sys
import segengine.engine.step as steps
from segengine.cli.main import main
steps.TrainingStep.__call__ = lambda *given, **more: os._exit(0)
main(sys.argv[1:])
"""
"""`segengine run` that ends where its first step would begin; that module is imported by every run."""

NEEDED = "import cv2, numpy, pydantic, yaml, torch, segmentation_models_pytorch"
PLAIN = """
import sys, json
import torch
from pathlib import Path
from tests.benchmarks.material import Material
from tests.benchmarks.plain import Loop, loader
wanted = json.loads(sys.argv[1])
loop = Loop(wanted["model"], torch.device(wanted["device"]))
next(iter(loader(Material(Path(wanted["root"]), "").pairs("train"), wanted["window"], 2, 0, pin=False)))
"""
TORCH = "import torch"


def measured(model: str, *, device: str, window: int, rounds: int) -> list[Row]:
    """The fastest of `rounds` of each."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = material(root / "data", 4, 1)
        spec = experiment(root, data.root, model=model, window=window, batch=2, epochs=1, workers=0)
        wanted = json.dumps({"model": model, "device": device, "window": window, "root": str(data.root)})

        def seconds(code: str, *arguments: str) -> float:
            began = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
            passed = time.perf_counter() - began
            if done.returncode:
                raise RuntimeError(done.stderr[-3000:])
            return passed

        def ours() -> float:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                return seconds(FIRST_STEP, "run", str(spec), "--out", out, "--device", device)

        contenders = {
            OURS: ours,
            "limit: importing what it needs (torch, smp, cv2, numpy, pydantic, yaml)": lambda: seconds(NEEDED),
            "limit: importing torch alone": lambda: seconds(TORCH),
            "plain loop, to its first batch": lambda: seconds(PLAIN, wanted),
        }
        seconds(NEEDED)  # from here on the files are in the system's memory
        times = by_turns(contenders, rounds)
    needed = next(who for who in contenders if "what it needs" in who)
    return rows_of("startup", f"{model} U-Net, 4 images, to the first step", "s", times, {needed: ("<=", 1.2)})
