"""Time and memory of `segengine compare` as a whole process, on many runs that are made up.

    python tests/benchmarks/compare_scale.py [--runs 100] [--images 1000] [--classes 10] [--resamples 2000]
                                             [--per-group 1] [--seeds 1 5] [--repeats 3] [--keep FOLDER] [--json FILE]

For each number of seeds: --runs runs, so 100 variants with 1 seed and 20 variants with 5. Prints seconds of wall clock and of
processor time and the process's largest memory, each the best of the repeats, and whether torch was imported.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from segengine.files import write_text
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.runs.tables import COUNTS_HEADER, ImageRow, write_images

SIDE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--per-group", type=int, default=1, help="images of a patient; 1 has no groups")
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="where the runs are made, and stay")
    parser.add_argument("--json", type=Path, help="write the results there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = given.keep or Path(temporary)
        rows = []
        for seeds in given.seeds:
            folder = root / f"seeds{seeds}" / "made-up"
            if not folder.exists():
                make_runs(folder, given, seeds)
            rows.append(
                {"variants": given.runs // seeds, "seeds": seeds} | measured(folder, given.resamples, given.repeats)
            )
    lines = ["| variants | seeds | wall s | processor s | peak MB | torch |", "| --: | --: | --: | --: | --: | --- |"]
    lines += [
        "| {variants} | {seeds} | {wall:.2f} | {processor:.2f} | {peak_mb:.0f} | {torch} |".format(**row)
        for row in rows
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    if given.json:
        about = {k: v for k, v in vars(given).items() if k in ("runs", "images", "classes", "per_group", "resamples")}
        given.json.write_text(json.dumps({**about, "cores": os.cpu_count(), "results": rows}, indent=2) + "\n")


def make_runs(experiment: Path, given: argparse.Namespace, seeds: int) -> None:
    """Run folders as training leaves them: counts of every image with a true and a wrong class in many places."""
    variants, images, classes = given.runs // seeds, given.images, given.classes
    rng = np.random.default_rng(0)
    truth = np.where(rng.random((images, classes)) < 0.7, rng.integers(20, 4000, (images, classes)), 0)
    groups = [f"p{i // given.per_group}" for i in range(images)]
    rows = [ImageRow(i, f"{group}/s{i:04}", group, "test", SIDE, SIDE) for i, group in enumerate(groups)]
    for variant in range(variants):
        for seed in range(seeds):
            folder = RunFolder(experiment / f"v{variant:03}-seed{seed}")
            write_images(folder / names.IMAGES, rows)
            write_counts(folder / names.counts_file("test"), confusions(truth, 0.7 + 0.2 * rng.random(), rng))
            write_run(folder, f"v{variant:03}", seed, classes)


def confusions(truth: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    """Counts int64 [N, K, K]: of each class's pixels a share is right, the others are spread over the classes."""
    classes = truth.shape[1]
    right = np.floor(truth * np.clip(rng.normal(quality, 0.1, truth.shape), 0, 1)).astype(np.int64)
    table = rng.multinomial(truth - right, np.full(classes, 1 / classes))
    table[:, np.arange(classes), np.arange(classes)] += right
    return np.asarray(table)


def write_counts(path: Path, table: np.ndarray) -> None:
    """The file that a run writes, non-zero cells only."""
    image, true, predicted = np.nonzero(table)
    rows = np.stack([image, true, predicted, table[image, true, predicted]], axis=1)
    write_text(path, "\n".join([COUNTS_HEADER, *(f"{a},{b},{c},{d}" for a, b, c, d in rows.tolist())]) + "\n")


def write_run(folder: RunFolder, variant: str, seed: int, classes: int) -> None:
    """spec.yaml and run.json; variants differ in their backbone's depth."""
    named = [f"class {k}" for k in range(classes)]
    spec = {
        "name": "made-up", "data": {"source": {"name": "folders", "root": "data"}, "classes": named},
        "augmentations": [{"name": "multi-scale", "base_size": SIDE, "scale": [0.5, 1.5], "crop_size": SIDE}],
        "model": {"backbone": {"name": "vgg", "depth": int(variant[1:])}, "decoder": {"name": "unet"}},
        "loss": {"name": "cross-entropy"}, "training": {"epochs": 20, "batch_size": 8, "optimizer": {"name": "adamw"}},
        "seeds": [seed], "variants": {variant: {}},
    }  # fmt: skip
    write_text(folder / names.SPEC, yaml.safe_dump(spec, sort_keys=False))
    write_text(folder / names.EXPERIMENT, yaml.safe_dump(spec | {"variants": {}}, sort_keys=False))
    folder.update(
        status="finished", experiment="made-up", title="made up", variant=variant, seed=seed, fold=None, devices=["CPU"],
        precision="fp32", versions={"torch": "2.9", "segengine": "0.1.0"}, parameters=10_000_000, macs=10**10,
        macs_size=[SIDE, SIDE], images_per_second=4.0, train_seconds=100.0,
        data={"fingerprint": "made up", "images": {"test": 1}, "channels": 3},
        labels=[{"index": k, "name": name, "raw": k, "colour": [k, k, k]} for k, name in enumerate(named)], ignored=[],
        metric_policy={"averaged": named[1:], "left_out": named[:1]}, budget={"epochs": 20, "steps": 60, "images": 480},
    )  # fmt: skip


def measured(experiment: Path, resamples: int, repeats: int) -> dict[str, Any]:
    """The best of several whole processes: wall and processor seconds, megabytes."""
    probe = (
        "import json, resource, sys\nfrom segengine.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n"
        "    used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "    found = {'processor': used.ru_utime + used.ru_stime, 'peak_mb': used.ru_maxrss / 1024, 'torch': 'torch' in sys.modules}\n"
        "    print(json.dumps(found), file=sys.stderr)\n"
    )
    words = [sys.executable, "-c", probe, "compare", str(experiment), "--resamples", str(resamples)]
    runs = []
    for _ in range(repeats):
        began = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        wall = time.perf_counter() - began
        runs.append(json.loads(done.stderr.splitlines()[-1]) | {"wall": wall})
    best = {key: min(run[key] for run in runs) for key in ("wall", "processor")}
    return best | {"peak_mb": max(run["peak_mb"] for run in runs), "torch": any(run["torch"] for run in runs)}


if __name__ == "__main__":
    main()
