"""A second look at the same data costs a fraction of the first, and notices what changed."""

import os
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from segengine.data.batches import survey_file
from segengine.inspection.inspect import inspect_folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write_pairs(root, number, size):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    image = (128 + 60 * np.sin(x / 40) + 40 * np.cos(y / 30))[..., None] + rng.integers(0, 20, (size, size, 3))
    values = rng.integers(0, 150, (max(2, size // 40),) * 2).astype(np.uint8)
    mask = cv2.resize(values, (size, size), interpolation=cv2.INTER_NEAREST)
    contents = [cv2.imencode(".png", plane)[1].tobytes() for plane in (image.clip(0, 255).astype(np.uint8), mask)]
    for n in range(number):
        for kind, content in zip(("images", "masks"), contents, strict=True):
            (root / kind / f"{n:05d}.png").write_bytes(content)
    past = time.time() - 100
    for path in root.glob("*/*.png"):
        os.utime(path, (past, past))


def seconds(root):
    start = time.process_time()
    found = inspect_folder(root, lambda _: None)
    return time.process_time() - start, found


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_the_second_look_is_20_times_as_fast_and_notices_changed_added_and_removed_files(tmp_path, monkeypatch):
    root = tmp_path / "data"
    write_pairs(root, 400, 512)
    monkeypatch.setattr(survey_file, "_SETTLED_SECONDS", -60.0)  # as if the files were written long ago
    first, found = seconds(root)
    second, again = min((seconds(root) for _ in range(3)), key=lambda measured: measured[0])
    assert again.document() == found.document()
    assert first / second >= 20, (first, second)

    (root / "images" / "00000.png").unlink()
    (root / "masks" / "00000.png").unlink()
    blank = cv2.imencode(".png", np.full((512, 512), 151, np.uint8))[1].tobytes()
    (root / "masks" / "00001.png").write_bytes(blank)
    (root / "masks" / "new.png").write_bytes(blank)
    (root / "images" / "new.png").write_bytes((root / "images" / "00002.png").read_bytes())
    changed = inspect_folder(root, lambda _: None).document()
    assert changed["images"] == 400
    shown = {value["value"]: value["pixels"] for value in changed["masks"]["values"]}
    assert shown["151"] == 2 * 512 * 512


@pytest.mark.usefixtures("cache")
def test_the_second_look_asks_the_file_system_once_per_file_and_reads_none(tmp_path, monkeypatch):
    root = tmp_path / "data"
    write_pairs(root, 60, 32)
    monkeypatch.setattr(survey_file, "_SETTLED_SECONDS", -60.0)
    inspect_folder(root, lambda _: None)
    asked, read = [], []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, *a, **k: (asked.append(str(path)), stat(path, *a, **k))[1])
    monkeypatch.setattr("segengine.data.masks.facts.file_bytes", read.append)
    inspect_folder(root, lambda _: None)
    files = [path for path in asked if path.endswith(".png")]
    assert len(files) == len(set(files)) == 120
    assert read == []


def test_init_imports_no_torch_without_a_gpu(tmp_path):
    write_pairs(tmp_path / "data", 8, 64)
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom segengine.cli.init import command\n"
        "from segengine.inspection.layouts import training\ntraining._gpu_devices = lambda: False\n"
        "result = CliRunner().invoke(command, ['data', '-o', 'x.yaml'])\n"
        "print(result.exit_code, 'torch' in sys.modules)\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", "False"], done.stderr
